import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { Bus, type EnclaveEventData, type EnclaveEventName } from '../../bus/src/index.ts';
import { NatsProcess } from '../../bus/test/nats-process.ts';
import { record } from '../../bus/test/record.ts';
import { tlsFiles } from '../../bus/test/tls-files.ts';
import { type EnclaveEvent, type EventData, type EventStream, type EventsError, events } from '../src/index.ts';

/** A check of the compiler: what the bus publishes is what readers are told. */
type Published = { [N in EnclaveEventName]: EnclaveEventData<N> };
const sameTypes = (data: Published): EventData => data;
const andNoOther = (data: EventData): Published => data;

const other = { ...record, id: 'e-ffffffffffff', name: 'other' };

describe('@enclaver/events', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  let credentials: string;

  const take = async (stream: EventStream, count: number): Promise<EnclaveEvent[]> => {
    const taken: EnclaveEvent[] = [];
    for await (const event of stream) if (taken.push(event) === count) break;
    return taken;
  };
  const said = (taken: readonly EnclaveEvent[]): string[] => taken.map(({ id, name }) => `${id} ${name}`);

  before(async () => {
    assert.ok(sameTypes !== undefined && andNoOther !== undefined);
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'supervisor', credentials: nats.credentials });
    folder = await mkdtemp(join(tmpdir(), 'enclaver-events-'));
    credentials = join(folder, 'reader.json');
    await writeFile(credentials, JSON.stringify(nats.as('reader')));
    for (const enclave of [record, other]) {
      await bus.enclaves.put(enclave);
      await bus.publishEvent(enclave.id, 'requested', { enclave });
      await bus.publishEvent(enclave.id, 'ready', { ingress: enclave.ingress });
      await bus.publishEvent(enclave.id, 'stopping', { graceMs: 1 });
    }
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('are those from now on, unless asked for', async () => {
    await using stream = events({ credentials });
    await stream.ready;
    await bus.publishEvent(record.id, 'unhealthy', { reason: 'no answer' });
    for await (const event of stream) {
      assert.equal(event.name === 'unhealthy' ? event.data.reason : undefined, 'no answer');
      assert.deepEqual(
        { ...event, time: '' },
        {
          sequence: 7,
          id: record.id,
          name: 'unhealthy',
          time: '',
          source: 'supervisor',
          data: { reason: 'no answer' },
        },
      );
      break;
    }
  });

  it('begin where they are told to, and go on behind an event that was seen', async () => {
    const all = await take(events({ credentials, from: 'oldest' }), 7);
    assert.deepEqual(
      all.map(({ sequence }) => sequence),
      [1, 2, 3, 4, 5, 6, 7],
    );
    const [third] = await take(events({ credentials, from: { sequence: 3 } }), 1);
    assert.deepEqual(third, all[2]);
    await sleep(5);
    const time = new Date();
    await bus.publishEvent(record.id, 'unhealthy', { reason: 'still none' });
    const [since] = await take(events({ credentials, from: { time } }), 1);
    assert.deepEqual(since?.data, { reason: 'still none' });
  });

  it('are of one enclave, by id and by name, and of some kinds', async () => {
    const from = 'oldest';
    const named = await take(events({ credentials, from, enclave: 'other' }), 3);
    assert.deepEqual(said(named), [`${other.id} requested`, `${other.id} ready`, `${other.id} stopping`]);
    // Its `requested` is before the start: the name is looked up
    const later = await take(events({ credentials, from: { sequence: 5 }, enclave: 'other' }), 2);
    assert.deepEqual(said(later), [`${other.id} ready`, `${other.id} stopping`]);
    const known = await take(events({ credentials, from, enclave: record.id, names: ['ready', 'stopping'] }), 2);
    assert.deepEqual(said(known), [`${record.id} ready`, `${record.id} stopping`]);
    for await (const { data } of events({ credentials, from, names: ['stopping'] })) {
      assert.equal(data.graceMs, 1);
      break;
    }
  });

  it('under a durable name go on after what was taken, and give again what was not', async () => {
    const options = { credentials, from: 'oldest', durable: 'billing' } as const;
    const first = await take(events(options), 3);
    assert.deepEqual(
      first.map(({ sequence }) => sequence),
      [1, 2, 3],
    );
    // The loop was left in the third: it was not taken
    await using next = events(options);
    const seen: number[] = [];
    await next.ready;
    await assert.rejects(take(events(options), 1), { code: 'EVENTS_REFUSED' });
    for await (const { sequence } of next) if (seen.push(sequence) === 2) break;
    assert.deepEqual(seen, [3, 4]);
  });

  it('go on when the bus was away', async () => {
    await using plain = events({ credentials });
    await using durable = events({ credentials, durable: 'steady' });
    await plain.ready;
    await durable.ready;
    await nats.crash();
    await nats.restart();
    await bus.publishEvent(record.id, 'stopping', { graceMs: 2 });
    for (const stream of [plain, durable]) {
      const [event] = await take(stream, 1);
      assert.deepEqual(event?.data, { graceMs: 2 });
    }
  }).timeout(30_000);

  it('leave out what is none of this version, and say so', async () => {
    const { url, user = '', password = '' } = nats.credentials;
    const plain = await connect({ servers: url, user, pass: password });
    const subject = `enclaver.v1.enclave.${record.id}.stopping`;
    const time = new Date().toISOString();
    const future = { specversion: '1.0', source: 'x', time, dataschema: 'urn:enclaver:bus:2.0', data: {} };
    const skipped: string[] = [];
    await using stream = events({ credentials, onSkipped: ({ code }: EventsError) => skipped.push(code) });
    await stream.ready;
    await plain.request(subject, 'junk');
    await plain.request(subject, JSON.stringify(future));
    // As a service answers, to whatever subject it is told
    const answer = { ...future, dataschema: undefined, type: 'enclaver.v1.supervisor.describe.response' };
    await plain.request(subject, JSON.stringify(answer));
    await bus.publishEvent(record.id, 'booting', {});
    assert.deepEqual(said(await take(stream, 1)), [`${record.id} booting`]);
    assert.deepEqual(skipped, ['BUS_MESSAGE_INVALID', 'BUS_SCHEMA_UNSUPPORTED', 'BUS_MESSAGE_INVALID']);
    await plain.close();
  });

  it('come over TLS', async () => {
    const files = await tlsFiles(folder, ['IP:127.0.0.1']);
    await using secure = await NatsProcess.start({ tls: files.server });
    const over = (user: 'reader' | 'supervisor') => {
      const { url, ...others } = secure.as(user);
      return { url: url.replace(/^\w+:/, 'tls:'), ca: files.ca, ...others };
    };
    await using teller = await Bus.connect({ source: 'supervisor', credentials: over('supervisor') });
    await teller.publishEvent(record.id, 'booting', {});
    assert.deepEqual(said(await take(events({ credentials: over('reader'), from: 'oldest' }), 1)), [
      `${record.id} booting`,
    ]);
  });

  it('fail with a code', async () => {
    const failing = (given: Parameters<typeof events>[0]['credentials'], code: string) =>
      assert.rejects(events({ credentials: given }).ready, { code });
    await failing('/nowhere/reader.json', 'BUS_CREDENTIALS_INVALID');
    await failing({ url: 'nats://127.0.0.1:1' }, 'BUS_UNREACHABLE');
    await failing({ url: nats.credentials.url, user: 'reader', password: 'wrong' }, 'BUS_REFUSED');
    await failing(nats.as('builder'), 'EVENTS_REFUSED');
  });
});
