import assert from 'node:assert/strict';
import { hasEnded } from '@enclaver/bus';
import { TestHost } from './test-host.ts';

describe('supervisor that takes over', () => {
  const host = TestHost.use();

  it('takes up an enclave after a restart', async () => {
    const { id } = await host.runTo('ready');
    await host.restart();
    assert.deepEqual(
      (await host.supervisor.handlers.list({})).enclaves.map((each) => [each.id, each.state]),
      [[id, 'ready']],
    );
    host.machine.say({ status: 'exited', code: 5 });
    assert.deepEqual((await host.until('exited')).data.result, { kind: 'exited', code: 5 });
    await host.gone(id);
  });

  it('says of an enclave that ended while it was away that it is lost', async () => {
    const { id } = await host.runTo('ready');
    await host.supervisor.close();
    await host.machine.die();
    host.supervisor = await host.start();
    const { result } = (await host.until('lost')).data;
    assert.equal(result.kind === 'lost' && result.error.code, 'SUPERVISOR_AWAY');
    assert.equal((await host.supervisor.handlers.describe({ id })).enclave.state, 'lost');
  });

  it('remembers the last enclaves that ended, and no more', async () => {
    await host.restart({ endedRecords: 2 });
    host.proxy.open = 'failed';
    for (const name of ['a', 'b', 'c', 'd']) {
      host.seen = [];
      const { id } = await host.run({ name });
      await host.until('failed');
      await host.gone(id);
    }
    const kept = async (): Promise<string[]> =>
      (await host.supervisor.handlers.list({ all: true })).enclaves
        .filter(({ state }) => hasEnded(state))
        .map(({ name }) => name);
    while ((await kept()).length > 2) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual((await kept()).sort(), ['c', 'd']);
  });
});
