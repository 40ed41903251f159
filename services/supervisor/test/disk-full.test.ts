import assert from 'node:assert/strict';
import { SmallDisk } from '../../../test/stack/small-disk.ts';
import { TestHost } from './test-host.ts';

describe('supervisor whose bus has no disk left', function () {
  this.timeout(60_000);
  let disk: SmallDisk;
  const host = TestHost.use(async () => {
    disk = await SmallDisk.make('4m');
    return disk.path;
  });

  after(() => disk[Symbol.asyncDispose]());

  it('starts nothing that it cannot keep, and tells what ended meanwhile when there is room', async () => {
    await host.restart({ acceptMs: 2_000 });
    const { id } = await host.runTo('ready');
    await disk.fill();
    // What the server has at hand it may still store; then it stores nothing
    let accepted = 0;
    const refused = { code: '', remedy: '' };
    while (refused.code === '') {
      await host.run({ name: `more-${accepted}` }).then(
        () => {
          accepted += 1;
        },
        (error: { code: string; remedy: string }) => Object.assign(refused, { code: error.code, remedy: error.remedy }),
      );
    }
    assert.equal(refused.code, 'BUS_NOT_STORING');
    assert.match(refused.remedy, /restart/);
    host.backend.machines[0]?.say({ status: 'exited', code: 7 });
    await disk.free();
    await host.nats.crash();
    await host.nats.restart();
    assert.deepEqual((await host.until('exited', id)).data.result, { kind: 'exited', code: 7 });
    assert.equal((await host.bus.enclaves.get(id))?.state, 'exited');
    const running = (await host.supervisor.handlers.list({})).enclaves.map(({ name }) => name);
    assert.deepEqual(
      running,
      Array.from({ length: accepted }, (_, index) => `more-${index}`),
      'what was accepted',
    );
    await host.run({ name: 'after' });
  });
});
