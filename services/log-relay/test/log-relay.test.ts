import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveEventData, type EnclaveRecord, type LogMessage } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { ErrorCode, NatsError } from 'nats';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { LogMetrics } from '../src/log-metrics.ts';
import { LogRelay } from '../src/log-relay.ts';
import { answerIntoLog, busWith } from './bus-support.ts';
import { FakeLog } from './fake-log.ts';
import { enclaveRecord } from './records.ts';

const logger = pino({ level: 'silent' });

describe('log-relay', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  let guest: FakeGuest;
  let log: FakeLog;
  let record: EnclaveRecord;
  let consoleServer: Server;
  let console: Promise<Socket>;
  const relays: LogRelay[] = [];
  let count = 0;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-log-relay-'));
    guest = await FakeGuest.start(join(folder, 'vsock'));
    log = new FakeLog(guest);
    consoleServer = createServer();
    consoleServer.listen(join(folder, 'console.sock'));
    console = once(consoleServer, 'connection').then(([socket]) => socket as Socket);
    count += 1;
    record = { ...enclaveRecord(count, guest.path), console: join(folder, 'console.sock') };
  });

  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.close();
    await guest[Symbol.asyncDispose]();
    (await Promise.race([console, undefined]))?.destroy();
    consoleServer.close();
    await rm(folder, { recursive: true });
  });

  async function startRelay(on: Bus = bus): Promise<LogRelay> {
    const relay = new LogRelay(on, logger, {
      sinks: { published: () => undefined },
      metrics: new LogMetrics(new Metrics()),
    });
    relays.push(relay);
    await relay.start();
    return relay;
  }

  async function launch(): Promise<void> {
    await bus.enclaves.put(record);
    await bus.publishEvent(record.id, 'launching', { enclave: record });
  }

  /** Totals of `log-ended`, and all that was published. */
  async function ended(): Promise<{ totals: EnclaveEventData<'log-ended'>; messages: LogMessage[] }> {
    for await (const event of bus.events({ id: record.id, replay: true })) {
      if (event.name === 'log-ended') return { totals: event.data, messages: await published() };
    }
    throw new Error('the events ended');
  }

  async function published(): Promise<LogMessage[]> {
    const messages: LogMessage[] = [];
    for await (const message of bus.logs({ id: record.id })) messages.push(message);
    return messages;
  }

  async function publishedLines(wanted: number): Promise<void> {
    let seen = 0;
    for await (const message of bus.logs({ id: record.id, follow: true })) {
      seen += message.lines.length;
      if (seen >= wanted) return;
    }
  }

  it('publishes lines of all streams in order and says when the log has ended', async () => {
    await startRelay();
    for (let index = 0; index < 500; index += 1) log.add(index % 3 === 0 ? 'stderr' : 'stdout', `line ${index}`);
    await launch();
    log.add('odyn', '{"msg":"bye"}');
    log.end();
    const { totals, messages } = await ended();
    assert.deepEqual(totals, { lines: 501, lost: 0 });
    const lines = messages.flatMap(({ lines }) => lines);
    assert.deepEqual(
      lines.map((line) => line.sequence),
      Array.from({ length: 501 }, (_, index) => index),
    );
    assert.deepEqual(lines[3], { sequence: 3, time: '2023-11-14T22:13:20.000123Z', text: 'line 3', stream: 'stderr' });
    assert.equal(lines[500]?.stream, 'odyn');
  });

  it('carries lines of any length and bytes that are not UTF-8 (D13, B-4)', async () => {
    await startRelay();
    const payload = 'ä'.repeat(8 * 1024);
    for (let part = 0; part < 64; part += 1) log.add('stdout', payload, { continues: part < 63 });
    log.add('stdout', Buffer.from([0xff, 0x00, 0x80]));
    log.add('stdout', 'after');
    log.end();
    await launch();
    const { messages } = await ended();
    const lines = messages.flatMap((message) => message.lines);
    assert.equal(
      lines
        .slice(0, 64)
        .map((line) => line.text)
        .join(''),
      'ä'.repeat(512 * 1024),
    );
    assert.deepEqual(lines.map((line) => line.continues === true).indexOf(false), 63);
    assert.deepEqual([lines[64]?.text, lines[64]?.encoding], ['/wCA', 'base64']);
    assert.equal(lines[65]?.text, 'after');
  });

  it('reads the last lines of an enclave that ended while no log-relay ran, as odyn waits for a reader', async () => {
    await launch();
    const [relay] = [await startRelay()];
    log.add('stdout', 'first');
    await publishedLines(1);
    await relay.close();
    log.add('stdout', 'last words');
    log.end();
    const now = new Date().toISOString();
    await bus.enclaves.put({ ...record, state: 'exited', times: { ...record.times, launching: now, exited: now } });
    await startRelay();
    const { totals, messages } = await ended();
    assert.deepEqual(totals.lost, 0);
    assert.deepEqual(
      messages.flatMap(({ lines }) => lines.map(({ text }) => text)),
      ['first', 'last words'],
    );
  });

  it('says how many records were lost, where they were lost, and warns', async () => {
    await startRelay();
    log.add('stdout', 'first');
    log.lose(41n);
    log.add('stdout', 'second');
    log.add('stdout', 'third', { sequence: 50n }); // a gap that the enclave does not own up to
    log.end();
    await launch();
    const { totals, messages } = await ended();
    assert.deepEqual(totals, { lines: 3, lost: 48 });
    assert.deepEqual(
      messages.map(({ lines, lost }) => [lost, lines.map((line) => line.text)]),
      [
        [undefined, ['first']],
        [41, ['second']],
        [7, ['third']],
      ],
    );
    const [warning] = bus.warnings.active.filter(({ enclave }) => enclave === record.id);
    assert.deepEqual([warning?.code, warning?.severity], ['LOG_LINES_LOST', 'warning']);
  });

  it('goes on after a broken connection without losing or repeating a line', async () => {
    await startRelay();
    for (let index = 0; index < 10; index += 1) log.add('stdout', `line ${index}`);
    await launch();
    await publishedLines(10);
    guest.cut();
    for (let index = 10; index < 20; index += 1) log.add('stdout', `line ${index}`);
    log.end();
    const { messages } = await ended();
    assert.deepEqual(
      messages.flatMap(({ lines }) => lines.map(({ text }) => text)),
      Array.from({ length: 20 }, (_, index) => `line ${index}`),
    );
    assert.equal(log.hellos.at(-1), 10n);
  });

  it('goes on where an earlier log-relay stopped', async () => {
    const first = await startRelay();
    log.add('stdout', 'one');
    log.add('stderr', 'two');
    await launch();
    await publishedLines(2);
    await first.close();
    await startRelay();
    log.add('stdout', 'three');
    log.end();
    const { messages } = await ended();
    assert.deepEqual(
      messages.flatMap(({ lines }) => lines.map(({ text }) => text)),
      ['one', 'two', 'three'],
    );
    assert.deepEqual(log.hellos, [0n, 2n]);
  });

  it('goes on behind what the server was made to write into the log, while it runs and at its start', async () => {
    const first = await startRelay();
    await launch();
    const socket = await console;
    log.add('stdout', 'one');
    socket.write('first\n');
    await publishedLines(2);
    await answerIntoLog(nats, bus, record.id);
    log.add('stdout', 'two');
    socket.write('second\n');
    await publishedLines(4);
    await answerIntoLog(nats, bus, record.id);
    await first.close();
    await startRelay();
    log.add('stdout', 'three');
    log.end();
    const { totals, messages } = await ended();
    assert.deepEqual(totals, { lines: 5, lost: 0 });
    const texts = (isConsole: boolean): [number, string][] =>
      messages
        .flatMap(({ lines }) => lines)
        .filter(({ stream }) => (stream === 'console') === isConsole)
        .map(({ sequence, text }) => [sequence, text]);
    assert.deepEqual(texts(false), [
      [0, 'one'],
      [1, 'two'],
      [2, 'three'],
    ]);
    assert.deepEqual(texts(true), [
      [0, 'first'],
      [1, 'second'],
    ]);
  });

  it('relays the console, long and binary lines too, and reads it to its end when the machine is gone', async () => {
    await startRelay();
    await launch();
    const socket = await console;
    socket.write('Linux version 6.12\r\n');
    socket.write(`${'x'.repeat(20_000)}\n`);
    socket.write(Buffer.from([0xc3, 0x28, 0x0a]));
    socket.end('Kernel panic - not syncing');
    await guest[Symbol.asyncDispose]();
    await bus.publishEvent(record.id, 'failed', { result: { kind: 'fatal', error: 'x' }, console: [] });
    const { messages } = await ended();
    const lines = messages.flatMap((message) => message.lines).filter(({ stream }) => stream === 'console');
    assert.deepEqual(
      lines.map((line) => line.sequence),
      [0, 1, 2, 3, 4, 5],
    );
    assert.equal(lines[0]?.text, 'Linux version 6.12');
    assert.equal(
      lines
        .slice(1, 4)
        .map((line) => line.text)
        .join(''),
      'x'.repeat(20_000),
    );
    assert.deepEqual(
      lines.slice(1, 4).map((line) => line.continues),
      [true, true, undefined],
    );
    assert.equal(lines[4]?.encoding, 'base64');
    assert.equal(lines[5]?.text, 'Kernel panic - not syncing');
  });

  it('goes on with a console that another one has read', async () => {
    await startRelay();
    await launch();
    const first = await console;
    first.write('for the first\n');
    first.destroySoon();
    const [second] = (await once(consoleServer, 'connection')) as [Socket];
    second.write('for the second\n');
    for await (const { lines } of bus.logs({ id: record.id, streams: ['console'], follow: true })) {
      if (lines.some(({ text }) => text === 'for the second')) break;
    }
    log.end();
    await bus.publishEvent(record.id, 'exited', { result: { kind: 'exited', code: 0 } });
    const lines = (await ended()).messages.flatMap((message) => message.lines);
    assert.deepEqual(
      lines.map(({ sequence, text }) => [sequence, text]),
      [
        [0, 'for the first'],
        [1, 'for the second'],
      ],
    );
    second.destroy();
  });

  it('ends the log of a machine that died, with what there was', async () => {
    await startRelay();
    log.add('stdout', 'last words');
    await launch();
    await publishedLines(1);
    await guest[Symbol.asyncDispose]();
    const since = performance.now();
    await bus.publishEvent(record.id, 'lost', {
      result: { kind: 'lost', error: { code: 'X', message: 'x' } },
      console: [],
    });
    const { totals } = await ended();
    assert.deepEqual(totals, { lines: 1, lost: 0 });
    assert.ok(performance.now() - since < 2_000);
  });

  it('ends the log of an enclave whose end is told between the look at its record and the reading', async () => {
    await bus.enclaves.put(record);
    const heard = Promise.withResolvers<void>();
    const watch = bus.events();
    const events = {
      ready: watch.ready,
      close: () => watch.close(),
      async *[Symbol.asyncIterator]() {
        for await (const event of watch) {
          yield event;
          // The relay is through with it
          if (event.name === 'lost') heard.resolve();
        }
      },
    };
    const list = async (): Promise<EnclaveRecord[]> => {
      const records = (await bus.enclaves.list()).filter(({ id }) => id === record.id);
      if (!isFollowing) return records;
      const result = { kind: 'lost', error: { code: 'X', message: 'x' } } as const;
      await bus.enclaves.put({ ...record, state: 'lost', result });
      await bus.publishEvent(record.id, 'lost', { result, console: [] });
      await heard.promise;
      return records;
    };
    // The first list is for the names alone
    let isFollowing = false;
    const enclaves = {
      get: (id: string) => bus.enclaves.get(id),
      list: () => list().finally(() => (isFollowing = true)),
    };
    await startRelay(busWith(bus, { events: () => events, enclaves }));
    assert.deepEqual((await ended()).totals, { lines: 0, lost: 0 });
  });

  it('looks again at what runs when the bus is back and does not answer at first', async () => {
    const connection = Promise.withResolvers<(connected: boolean) => void>();
    let asked = 0;
    const list = async (): Promise<EnclaveRecord[]> => {
      asked += 1;
      // The first two are those of the start
      if (asked === 3) throw NatsError.errorForCode(ErrorCode.Timeout);
      return await bus.enclaves.list();
    };
    await startRelay(
      busWith(bus, {
        enclaves: { get: (id: string) => bus.enclaves.get(id), list },
        onConnectionChange: async (listener: (connected: boolean) => void) => connection.resolve(listener),
      }),
    );
    // Its `launching` was told while the bus was away
    await bus.enclaves.put(record);
    log.add('stdout', 'read');
    (await connection.promise)(true);
    await publishedLines(1);
    assert.equal(asked, 4);
  });

  it('ends the log of an enclave that breaks the protocol or claims impossible numbers', async () => {
    await startRelay();
    log.add('stdout', 'fine', { timeUs: 0xffff_ffff_ffff_ffffn });
    log.add('stdout', 'backwards', { sequence: 0n });
    log.add('stdout', 'never seen');
    await launch();
    const { totals, messages } = await ended();
    assert.deepEqual(totals, { lines: 1, lost: 0 });
    assert.equal(messages[0]?.lines[0]?.time, '9999-12-31T23:59:59.999999Z');
  });

  it('ends the log of an enclave that was never launched', async () => {
    await startRelay();
    await bus.publishEvent(record.id, 'failed', {
      result: { kind: 'failed', error: { code: 'X', message: 'x' } },
      console: [],
    });
    assert.deepEqual((await ended()).totals, { lines: 0, lost: 0 });
  });
});
