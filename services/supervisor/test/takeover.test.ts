import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { hasEnded } from '@enclaver/bus';
import { TestHost, timings } from './test-host.ts';

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

  it('ends the machine of an enclave whose end was told, and starts the next one only then', async () => {
    const quick = { statusSilenceMs: 50, restartPauseMs: 2, logMs: 3_600_000 };
    await host.restart(quick);
    const { id } = await host.runTo('ready', { restart: { policy: 'always' } });
    const { machine } = host;
    machine.mute();
    const { data } = await host.until('lost', id);
    await host.record(id, ({ state }) => state === 'lost');
    await host.restart(quick);
    const { enclaves } = await host.supervisor.handlers.list({});
    assert.deepEqual(
      enclaves.map((each) => [each.id, each.state]),
      [[id, 'lost']],
    );
    await host.bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
    await host.until('launching', data.restart?.id);
    assert.ok(machine.killed);
    await host.gone(id);
  });

  it('takes up an enclave whose machine was being started when the earlier supervisor was told to end', async () => {
    const started = Promise.withResolvers<void>();
    host.backend.launchable = started.promise;
    const { id } = await host.run();
    await host.until('launching', id);
    let closed = false;
    const closing = host.supervisor.close().then(() => {
      closed = true;
    });
    for (let turn = 0; turn < 20; turn += 1) await host.bus.enclaves.list();
    assert.ok(!closed, 'it waits for the machine');
    started.resolve();
    await closing;
    host.supervisor = await host.start();
    host.machine.say({ status: 'running', phase: 'ready', timings });
    await host.until('ready', id);
  });

  describe('from one that waited for a start when it was told to end', () => {
    /** The supervisor is told to end while the machine of another enclave is being started; `started` lets it. */
    async function closeDuringStart(): Promise<{ closed: Promise<void>; started: () => void }> {
      const launchable = Promise.withResolvers<void>();
      host.backend.launchable = launchable.promise;
      host.backend.onLaunch = () => undefined;
      const { id } = await host.run({ name: 'slow' });
      await host.until('launching', id);
      return { closed: host.supervisor.close(), started: launchable.resolve };
    }

    it('starts again what it has left to the next, with all its tries', async () => {
      const never = { restartPauseMs: 3_600_000, restartPauseMaxMs: 3_600_000 };
      await host.restart(never);
      const { id } = await host.runTo('ready', { name: 'again', restart: { policy: 'on-failure', max: 1 } });
      host.machine.say({ status: 'exited', code: 5 });
      const next = (await host.until('exited', id)).data.restart?.id ?? '';
      await host.gone(id);
      const { closed, started } = await closeDuringStart();
      // Due now, it would be refused, and one try less
      assert.deepEqual(
        (await host.supervisor.handlers.list({})).enclaves.map(({ name }) => name),
        ['slow'],
      );
      started();
      await closed;
      host.supervisor = await host.start(never);
      const names = (await host.supervisor.handlers.list({})).enclaves.map((enclave) => [
        enclave.name,
        enclave.next?.id,
      ]);
      assert.deepEqual(names.sort(), [
        ['again', next],
        ['slow', undefined],
      ]);
    });

    it('has asked an app to stop where it answered so', async () => {
      const { id } = await host.runTo('ready', { name: 'asked' });
      const { machine } = host;
      const asked = new Promise<void>((resolve) => {
        machine.onControl = () => resolve();
      });
      const { closed, started } = await closeDuringStart();
      assert.equal((await host.supervisor.handlers.stop({ id, graceMs: 1234 })).enclave.state, 'stopping');
      await asked;
      assert.deepEqual(machine.controls, [{ command: 'stop', graceMs: 1234 }]);
      started();
      await closed;
      host.supervisor = await host.start();
    });

    it('has told how an enclave ended', async () => {
      const { id } = await host.runTo('ready', { name: 'ended' });
      const { machine } = host;
      const { closed, started } = await closeDuringStart();
      machine.say({ status: 'exited', code: 0 });
      assert.deepEqual((await host.until('exited', id)).data.result, { kind: 'exited', code: 0 });
      started();
      await closed;
      host.supervisor = await host.start();
    });
  });

  it('asks an app again to stop that an earlier one had asked', async () => {
    const { id } = await host.runTo('ready');
    await host.supervisor.handlers.stop({ id, graceMs: 1234 });
    while (host.machine.controls.length === 0) await host.bus.enclaves.list();
    const again = new Promise<void>((resolve) => {
      host.machine.onControl = () => resolve();
    });
    await host.restart();
    await again;
    assert.equal(host.machine.controls.length, 2);
  });

  it('does not wait for a start without end when it is told to end', async () => {
    await host.restart({ launchLeftMs: 1 });
    host.backend.launchable = new Promise(() => undefined);
    const { id } = await host.run();
    await host.until('launching', id);
    await host.restart();
    await host.until('lost', id);
  });

  it('remembers the last enclaves that ended, and no more', async () => {
    await host.restart({ endedRecords: 2 });
    host.proxy.open = 'failed';
    for (const name of ['a', 'b', 'c', 'd']) {
      host.seen = [];
      // The bus goes when one has ended: then the next one that ends has the others forgotten
      if (name === 'c')
        mock.method(host.bus.enclaves, 'list', () => Promise.reject(new Error('TIMEOUT')), { times: 1 });
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
    mock.restoreAll();
  });
});
