import assert from 'node:assert/strict';
import { TestHost } from './test-host.ts';

describe('stop of an enclave', () => {
  const host = TestHost.use();

  it('asks the app to stop, with its grace time', async () => {
    const { id } = await host.runTo('ready');
    host.machine.onControl = () => host.machine.say({ status: 'signaled', signal: 'SIGTERM' });
    const { enclave } = await host.supervisor.handlers.stop({ id: 'hello', graceMs: 1234 });
    assert.equal(enclave.id, id);
    assert.deepEqual((await host.until('exited')).data.result, { kind: 'signaled', signal: 'SIGTERM' });
    assert.deepEqual(host.machine.controls, [{ command: 'stop', graceMs: 1234 }]);
    assert.equal((await host.until('stopping')).data.graceMs, 1234);
  });

  it('gives the app 10 s where it names no time', async () => {
    const { id } = await host.runTo('ready');
    host.machine.onControl = () => host.machine.say({ status: 'signaled', signal: 'SIGTERM' });
    await host.supervisor.handlers.stop({ id });
    await host.until('exited');
    assert.deepEqual(host.machine.controls, [{ command: 'stop', graceMs: 10_000 }]);
  });

  it('ends the machine of an app that does not stop', async () => {
    await host.restart({ graceExtraMs: 50 });
    const { id } = await host.runTo('ready');
    await host.supervisor.handlers.stop({ id, graceMs: 10 });
    await host.supervisor.handlers.stop({ id, graceMs: 100_000 });
    const { detail, ...result } = { detail: '', ...(await host.until('exited')).data.result };
    assert.deepEqual(result, { kind: 'signaled', signal: 'SIGKILL', cause: 'grace-over' });
    assert.match(detail, /had ended 60 ms after they were asked to: the machine was ended/);
    await host.gone(id);
    assert.equal(host.machine.killed, true);
  });

  it('stops an enclave that does not run yet', async () => {
    const { id } = await host.run();
    await host.until('launching');
    await host.supervisor.handlers.stop({ id });
    const { result } = (await host.until('failed')).data;
    assert.equal(result.kind === 'failed' && result.error.code, 'STOPPED');
    await host.gone(id);
    assert.ok(host.backend.machines.every(({ killed }) => killed));
  });
});
