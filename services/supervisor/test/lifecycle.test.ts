import assert from 'node:assert/strict';
import { encodeStatus } from '@enclaver/wire';
import { TestHost, timings } from './test-host.ts';

describe('life of an enclave', () => {
  const host = TestHost.use();

  it('leads an enclave through its life and tells every step', async () => {
    const { id } = await host.runTo('ready');
    host.machine.say({ status: 'exited', code: 3 });
    const { data } = await host.until('exited');
    assert.deepEqual(data.result, { kind: 'exited', code: 3 });
    assert.deepEqual(host.names(), [
      'requested',
      'egress-ready',
      'launching',
      'booting',
      'starting',
      'ready',
      'exited',
    ]);
    await host.gone(id);
    assert.equal(host.machine.killed, true);
    const record = await host.bus.enclaves.get(id);
    assert.equal(record?.state, 'exited');
    assert.deepEqual(record?.timings, timings);
    assert.deepEqual(record?.ingress, [{ listenPort: 8080, host: '127.0.0.1', port: 1234 }]);
    assert.deepEqual(Object.keys(record?.times ?? {}).sort(), [
      'booting',
      'exited',
      'launching',
      'ready',
      'requested',
      'starting',
    ]);
  });

  for (const signal of ['"SIGKILL"', '9']) {
    it(`reports an app that a signal ended, spelt ${signal} (D1)`, async () => {
      await host.runTo('ready');
      host.machine.say(Buffer.from(`{"status":"signaled","signal":${signal}}\n`));
      assert.deepEqual((await host.until('exited')).data.result, { kind: 'signaled', signal: 'SIGKILL' });
    });
  }

  it('passes on the text of a fatal error as it is (D2)', async () => {
    await host.runTo('starting');
    const error = 'no such "file":\n\\etc\\passwd';
    host.machine.say({ status: 'fatal', error });
    assert.deepEqual((await host.until('failed')).data.result, { kind: 'fatal', error });
  });

  it('tells why an app is unhealthy for as long as it is, and that it is ready again', async () => {
    const { id } = await host.runTo('ready');
    const told = async (state: string) => {
      for (;;) {
        const record = await host.bus.enclaves.get(id);
        if (record?.state === state) return record;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    host.machine.say({ status: 'running', phase: 'unhealthy', reason: 'port 8080: no answer', timings });
    assert.equal((await told('unhealthy')).reason, 'port 8080: no answer');
    host.machine.say({ status: 'running', phase: 'ready', timings });
    assert.equal((await told('ready')).reason, undefined);
    host.machine.say({ status: 'running', phase: 'unhealthy', reason: 'again', timings });
    await told('unhealthy');
    host.machine.say({ status: 'exited', code: 0 });
    await host.until('exited');
    assert.deepEqual(host.names().slice(-5), ['ready', 'unhealthy', 'ready', 'unhealthy', 'exited']);
  });

  it('keeps figures of the inside, and not each one of an enclave that talks without end', async () => {
    const { id } = await host.runTo('ready');
    const figures = {
      memoryTotalBytes: 9,
      memoryAvailableBytes: 4,
      odynResidentBytes: 3,
      ingressAccepted: 1,
      ingressRefused: 0,
    };
    for (let ingressAccepted = 1; ingressAccepted <= 50; ingressAccepted += 1) {
      host.machine.say({ status: 'running', phase: 'ready', timings, figures: { ...figures, ingressAccepted } });
    }
    host.machine.say({ status: 'running', phase: 'ready', timings, clock: 'kvm-clock, the last word' });
    while ((await host.bus.enclaves.get(id))?.clock === undefined)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual((await host.bus.enclaves.get(id))?.figures, figures);
  });

  it('tells of a few steps of an enclave that changes without end, and always of the last', async () => {
    await host.restart({ stepMs: 50 });
    const { id } = await host.runTo('ready');
    const phases = Array.from({ length: 2_000 }, (_, index) => [
      encodeStatus({ status: 'running', phase: 'unhealthy', reason: `turn ${index}`, timings, clock: `${index}` }),
      encodeStatus({ status: 'running', phase: 'ready', timings, clock: `${index}, again` }),
    ]);
    const last = {
      status: 'running',
      phase: 'unhealthy',
      reason: 'the last word',
      timings,
      clock: 'the last',
    } as const;
    host.machine.say(Buffer.concat([...phases.flat(), encodeStatus(last)]));
    await host.record(id, ({ state, clock }) => state === 'unhealthy' && clock === last.clock);
    const told = host.names(id).filter((name) => name === 'unhealthy').length;
    assert.ok(told < 200, `${told} times`);
    host.machine.say({ status: 'exited', code: 0 });
    await host.until('exited', id);
  });

  it('keeps what the enclave says of its clock', async () => {
    const { id } = await host.runTo('ready');
    const clock = 'kvm-clock, 6 s behind the NSM';
    host.machine.say({ status: 'running', phase: 'ready', timings, clock });
    while ((await host.bus.enclaves.get(id))?.clock !== clock) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(host.names().at(-1), 'ready', 'it is no news');
  });
});
