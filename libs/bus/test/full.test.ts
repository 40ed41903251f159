import assert from 'node:assert/strict';
import { connect, type NatsConnection } from 'nats';
import { Bus, subjects } from '../src/index.ts';
import { storage } from '../src/storage.ts';
import { publishLines } from './log-lines.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

const needed = storage.reduce((sum, { max_bytes }) => sum + max_bytes, 0);
const withRoomFor = (bytes: number) => (config: string) =>
  config.replace(/max_file_store: \d+/, `max_file_store: ${bytes}`);

describe('bus with no more room than it needs', function () {
  this.timeout(60_000);

  it('drops its oldest log lines and events, and never the room of state', async () => {
    await using nats = await NatsProcess.start({}, withRoomFor(needed));
    await using bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    await bus.enclaves.put(record);
    const { url, user, password } = nats.credentials;
    const raw = await connect({ servers: url, user: user as string, pass: password as string });
    await flood(raw, subjects.log(record.id, 'records'), 'ENCLAVER_LOGS');
    await flood(raw, subjects.enclaveEvent(record.id, 'booting'), 'ENCLAVER_EVENTS');
    for (let turn = 0; turn < 100; turn += 1) await bus.enclaves.put({ ...record, name: `turn-${turn}` });
    assert.equal((await bus.enclaves.get(record.id))?.name, 'turn-99');
    await bus.publishEvent(record.id, 'stopping', { graceMs: 1 });
    const line = { sequence: 0, time: '2026-01-01T00:00:00.000Z', text: 'still stored' };
    await publishLines(bus, 'e-ffffffffffff', 'stdout', [line]);
    const { all } = await bus.storageUse();
    assert.ok(all.used <= needed, `${all.used} of ${needed}`);
    assert.equal(bus.counts.retries, 0);
    await raw.close();
  });

  it('refuses a server that may keep less, with how much is needed', async () => {
    await using nats = await NatsProcess.start({}, withRoomFor(needed - 1));
    await assert.rejects(Bus.connect({ source: 'test', credentials: nats.credentials }), {
      code: 'BUS_TOO_SMALL',
      message: new RegExp(String(needed)),
      remedy: /max_file_store/,
    });
  });
});

/** Publishes a quarter more than the stream may hold, many at a time, and sees to it that the oldest are gone. */
async function flood(raw: NatsConnection, subject: string, name: string): Promise<void> {
  const jetStream = raw.jetstream();
  const { max_bytes: room = 0 } = storage.find((stream) => stream.name === name) ?? {};
  const payload = Buffer.alloc(1024 * 1024);
  const messages = Math.ceil((1.25 * room) / payload.length);
  for (let sent = 0; sent < messages; sent += 16)
    await Promise.all(Array.from({ length: 16 }, () => jetStream.publish(subject, payload)));
  const { state } = await (await raw.jetstreamManager()).streams.info(name);
  assert.ok(state.first_seq > 1 && state.bytes <= room, `${name}: from ${state.first_seq}, ${state.bytes} bytes`);
}
