import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type NatsConnection } from 'nats';
import { watchStability } from '../src/bus-stability.ts';
import { Bus, type Warning } from '../src/index.ts';
import { NatsProcess } from './nats-process.ts';

const full: Warning = {
  code: 'STORE_NEARLY_FULL',
  severity: 'warning',
  message: 'the store is full to 91 %',
  remedy: 'remove what nobody needs',
};

describe('warnings', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let reader: Bus;
  let plain: NatsConnection;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    reader = await Bus.connect({ source: 'enclaver/cli', credentials: nats.credentials });
    const { url, user, password } = nats.credentials;
    plain = await connect({ servers: url, user: user ?? '', pass: password ?? '' });
  });

  after(async () => {
    await plain.close();
    await bus.close();
    await reader.close();
    await nats[Symbol.asyncDispose]();
  });

  it('are read by others until they are over, the gravest first, and told as events', async () => {
    const events: { subject: string; state: string }[] = [];
    plain.subscribe('enclaver.v1.warning.>', {
      callback: (_, message) => {
        const { data } = message.json<{ data: { state: string } }>();
        events.push({ subject: message.subject, state: data.state });
      },
    });
    await plain.flush();
    bus.warnings.raise(full);
    bus.warnings.raise({ code: 'UNHEALTHY', severity: 'error', message: 'x is unhealthy', enclave: 'e-1' });
    bus.warnings.raise({ code: 'UNHEALTHY', severity: 'error', message: 'y is unhealthy', enclave: 'e-2' });
    await bus.warnings.written();
    const listed = await reader.warnings.list();
    assert.deepEqual(
      listed.map(({ service, code, enclave, remedy }) => ({ service, code, enclave, remedy })),
      [
        { service: 'supervisor', code: 'UNHEALTHY', enclave: 'e-1', remedy: undefined },
        { service: 'supervisor', code: 'UNHEALTHY', enclave: 'e-2', remedy: undefined },
        { service: 'supervisor', code: full.code, enclave: undefined, remedy: full.remedy },
      ],
    );
    // Said again, and with another text: no news to those who listen for events
    bus.warnings.raise(full);
    bus.warnings.raise({ ...full, message: 'the store is full to 92 %' });
    bus.warnings.clear('UNHEALTHY', 'e-1');
    bus.warnings.clear('UNHEALTHY', 'e-2');
    bus.warnings.clear('NEVER_RAISED');
    await bus.warnings.written();
    const left = await reader.warnings.list();
    assert.deepEqual(
      left.map(({ message }) => message),
      ['the store is full to 92 %'],
    );
    bus.warnings.set(false, full);
    await bus.warnings.written();
    assert.deepEqual(await reader.warnings.list(), []);
    await plain.flush();
    assert.deepEqual(events, [
      { subject: 'enclaver.v1.warning.supervisor.STORE_NEARLY_FULL', state: 'raised' },
      { subject: 'enclaver.v1.warning.supervisor.UNHEALTHY', state: 'raised' },
      { subject: 'enclaver.v1.warning.supervisor.UNHEALTHY', state: 'raised' },
      { subject: 'enclaver.v1.warning.supervisor.UNHEALTHY', state: 'cleared' },
      { subject: 'enclaver.v1.warning.supervisor.UNHEALTHY', state: 'cleared' },
      { subject: 'enclaver.v1.warning.supervisor.STORE_NEARLY_FULL', state: 'cleared' },
    ]);
  });

  it('that are raised while the bus is away are there when it is back; what is over by then is not', async () => {
    await nats.crash();
    bus.warnings.raise(full);
    bus.warnings.raise({ code: 'SHORT', severity: 'info', message: 'over before anybody could read it' });
    bus.warnings.clear('SHORT');
    assert.deepEqual(
      bus.warnings.active.map(({ code }) => code),
      [full.code],
    );
    await nats.restart();
    await bus.warnings.written();
    while (!reader.isConnected) await sleep(20);
    assert.deepEqual(
      (await reader.warnings.list()).map(({ code }) => code),
      [full.code],
    );
    assert.equal(bus.counts.reconnects, 1);
  });

  it('tell of a bus that comes and goes', async () => {
    watchStability(bus);
    for (let n = 0; n < 3; n += 1) {
      assert.ok(!bus.warnings.active.some(({ code }) => code === 'BUS_UNSTABLE'));
      await nats.crash();
      while (bus.isConnected) await sleep(10);
      await nats.restart();
      while (!bus.isConnected) await sleep(10);
    }
    assert.ok(bus.warnings.active.some(({ code }) => code === 'BUS_UNSTABLE'));
    await bus.warnings.written();
    while (!reader.isConnected) await sleep(10);
  });

  it('are bounded: what one process raises beyond that is an error to its log', async () => {
    const errors: unknown[] = [];
    reader.warnings.onError = (error) => errors.push(error);
    for (let n = 0; n < 257; n += 1) reader.warnings.raise({ code: `CODE_${n}`, severity: 'info', message: 'x' });
    assert.equal(reader.warnings.active.length, 256);
    assert.match(String(errors), /CODE_256/);
    for (const { code } of reader.warnings.active) reader.warnings.clear(code);
    await reader.warnings.written();
  });
});
