import assert from 'node:assert/strict';
import { TestHost } from './test-host.ts';

describe('supervisor without its bus', () => {
  const host = TestHost.use();

  it('goes on without the bus, and tells what happened when it is back', async function () {
    // The client notices after its own time-outs that its consumers are gone
    this.timeout(60_000);
    const { id } = await host.runTo('ready');
    host.proxy.open = 'silent';
    const waiting = await host.run({ name: 'waiting' });
    await host.until('requested', waiting.id);
    await host.nats.crash();
    host.machine.say({ status: 'running', phase: 'unhealthy', reason: 'nobody hears this now' });
    host.machine.say({ status: 'exited', code: 6 });
    await host.nats.restart();
    assert.deepEqual((await host.until('exited')).data.result, { kind: 'exited', code: 6 });
    assert.deepEqual(host.names(id).slice(-2), ['unhealthy', 'exited']);
    assert.equal((await host.bus.enclaves.get(id))?.state, 'exited');
    // The outer-proxy answers what it has read when it saw the bus again
    await host.bus.publishEvent(waiting.id, 'egress-ready', { ingress: [] });
    await host.until('launching', waiting.id);
  });
});
