import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { Bus, BusError, type EnclaveEvent, type LogMessage } from '../src/index.ts';
import { publishLines } from './log-lines.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

describe('bus', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let other: Bus;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test/a', credentials: nats.credentials });
    other = await Bus.connect({ source: 'test/b', credentials: nats.credentials });
  });

  after(async () => {
    await bus.close();
    await other.close();
    await nats[Symbol.asyncDispose]();
  });

  it('carries lifecycle events to live subscribers and replays them to late ones', async () => {
    const live = bus.events({ id: record.id });
    await live.ready;
    await other.publishEvent(record.id, 'requested', { enclave: record });
    await other.publishEvent(record.id, 'egress-ready', { ingress: record.ingress });
    const seen: EnclaveEvent[] = [];
    for await (const event of live) {
      seen.push(event);
      if (seen.length === 2) break;
    }
    assert.deepEqual(
      seen.map((event) => [event.name, event.id, event.source]),
      [
        ['requested', record.id, 'test/b'],
        ['egress-ready', record.id, 'test/b'],
      ],
    );
    const late: string[] = [];
    for await (const event of bus.events({ replay: true })) {
      late.push(event.name);
      if (late.length === 2) break;
    }
    assert.deepEqual(late, ['requested', 'egress-ready']);
  });

  it('refuses to publish an event whose data breaks the schema', async () => {
    await assert.rejects(bus.publishEvent(record.id, 'stopping', { graceMs: -1 }));
  });

  it('answers requests, with the error of the service kept', async () => {
    await other.serve('supervisor', '0.1.0', {
      run: async () => ({ enclave: record }),
      update: async () => ({ enclave: record, replaces: record }),
      stop: async () => {
        throw new BusError({ code: 'ENCLAVE_NOT_FOUND', message: 'no enclave e-1', remedy: 'see `enclaver ps`' });
      },
      list: async () => ({ enclaves: [record] }),
      describe: async () => ({ enclave: record }),
    });
    const { enclaves } = await bus.request('supervisor', 'list', {});
    assert.deepEqual(enclaves, [record]);
    await assert.rejects(bus.request('supervisor', 'stop', { id: 'e-1' }), {
      code: 'ENCLAVE_NOT_FOUND',
      remedy: 'see `enclaver ps`',
    });
  });

  it('lists the services that are there', async () => {
    await other.announce('log-relay', '0.1.0');
    assert.deepEqual((await bus.services()).sort(), ['log-relay', 'supervisor']);
  });

  it('does not wait for the answer of a service that is gone', async function () {
    this.timeout(30_000);
    const builder = await Bus.connect({ source: 'test/builder', credentials: nats.credentials });
    const taken = Promise.withResolvers<void>();
    await builder.serve('builder', '0.1.0', {
      build: () => {
        taken.resolve();
        return new Promise(() => undefined);
      },
      verifyBuild: () => Promise.reject(new Error('not asked for')),
      cancel: async () => ({ cancelled: false }),
      extract: () => Promise.reject(new Error('not asked for')),
    });
    const request = { buildId: 'b', manifest: '', manifestFile: 'enclaver.yaml', contextDir: '/' };
    const answer = assert.rejects(bus.request('builder', 'build', request), { code: 'BUS_SERVICE_LOST' });
    await taken.promise;
    // Its identity must have been seen before it goes
    await bus.services();
    await builder.close();
    await answer;
  });

  it('says which service is missing', async () => {
    await assert.rejects(bus.request('builder', 'extract', { image: 'x' }), { code: 'BUS_NO_SERVICE' });
  });

  it('keeps log lines and gives them in order, then follows', async () => {
    const line = (sequence: number) => ({ sequence, time: '2026-01-01T00:00:00.000Z', text: `line ${sequence}` });
    await publishLines(other, record.id, 'stdout', [line(0), line(1)]);
    await publishLines(other, record.id, 'stderr', [line(2)]);
    const kept: LogMessage[] = [];
    for await (const message of bus.logs({ id: record.id })) kept.push(message);
    assert.deepEqual(
      kept.flatMap((message) => message.lines.map((entry) => [entry.stream, entry.sequence])),
      [
        ['stdout', 0],
        ['stdout', 1],
        ['stderr', 2],
      ],
    );
    const followed: number[] = [];
    const watch = bus.logs({ id: record.id, follow: true });
    await watch.ready;
    await publishLines(other, record.id, 'stdout', [line(3)]);
    for await (const message of watch) {
      followed.push(...message.lines.map((entry) => entry.sequence));
      if (followed.length === 4) break;
    }
    assert.deepEqual(followed, [0, 1, 2, 3]);
  });

  it('gives the last lines of a log, and what came since a time', async () => {
    const id = 'e-0000000000aa';
    const line = (sequence: number) => ({ sequence, time: '2026-01-01T00:00:00.000Z', text: `line ${sequence}` });
    for (let index = 0; index < 300; index += 3) {
      const stream = index % 2 === 0 ? 'stdout' : 'stderr';
      await publishLines(other, id, stream, [line(index), line(index + 1), line(index + 2)]);
      await publishLines(other, 'e-0000000000bb', 'stdout', [line(index)]);
    }
    const read = async (query: object): Promise<number[]> => {
      const numbers: number[] = [];
      for await (const { lines } of bus.logs({ id, ...query })) numbers.push(...lines.map(({ sequence }) => sequence));
      return numbers;
    };
    assert.deepEqual(await read({ tail: 4 }), [296, 297, 298, 299]);
    assert.deepEqual((await read({ tail: 299 }))[0], 1);
    assert.equal((await read({ tail: 1_000 })).length, 300);
    assert.deepEqual(await read({ tail: 0 }), []);
    assert.deepEqual(await read({ tail: 2, streams: ['stdout'] }), [295, 296]);
    assert.deepEqual(await read({ since: new Date(Date.now() + 60_000) }), []);
    const since = new Date();
    assert.deepEqual(await read({ since }), []);
    await publishLines(other, id, 'stdout', [line(300)]);
    assert.deepEqual(await read({ since }), [300]);
    assert.deepEqual(await read({ since, tail: 5 }), [300]);
    const watch = bus.logs({ id, follow: true, tail: 1 });
    setTimeout(() => void watch.finish(), 100);
    const followed: number[] = [];
    for await (const { lines } of watch) followed.push(...lines.map(({ sequence }) => sequence));
    assert.deepEqual(followed, [300]);
  });

  it('has the room again that dropped lines have taken, and takes ones that are gone for dropped', async () => {
    const { url, user, password } = nats.credentials;
    const connection = await connect({ servers: url, user, pass: password });
    const manager = await connection.jetstreamManager();
    const used = async (): Promise<number> => (await manager.getAccountInfo()).storage;
    const id = 'e-0000000000dd';
    const before = await used();
    const text = 'x'.repeat(100_000);
    const positions: number[] = [];
    for (let sequence = 0; sequence < 10; sequence++)
      positions.push(await publishLines(other, id, 'stdout', [{ sequence, time: '2026-01-01T00:00:00.000Z', text }]));
    assert.ok((await used()) - before > 1_000_000);
    for (const position of [...positions, ...positions, 1_000_000]) await bus.logStore.drop(position);
    assert.ok((await used()) <= before, String(await used()));
    await connection.close();
  });

  it('ends at once for an enclave that logged nothing', async () => {
    for await (const message of bus.logs({ id: 'e-ffffffffffff' })) assert.fail(JSON.stringify(message));
  });

  it('keeps the state of each enclave', async () => {
    await bus.enclaves.put(record);
    assert.deepEqual(await other.enclaves.get(record.id), record);
    assert.deepEqual(await other.enclaves.list(), [record]);
    const more = Array.from({ length: 100 }, (_, index) => ({ ...record, id: `e-${String(index).padStart(12, '0')}` }));
    for (const each of more) await bus.enclaves.put(each);
    assert.deepEqual(await other.enclaves.list(), [record, ...more]);
    for (const each of more) await bus.enclaves.remove(each.id);
    await bus.enclaves.remove(record.id);
    assert.equal(await other.enclaves.get(record.id), undefined);
    assert.deepEqual(await other.enclaves.list(), []);
  });

  it('keeps what enclaves have sealed, each its own, and changes it for whoever knows it only', async () => {
    const [mine, theirs] = [await bus.blobs(), await other.blobs()];
    const owner = 'hello world/\n*.>';
    assert.equal(await mine.get(owner, 'key'), undefined);
    const first = await mine.put(owner, 'key', Buffer.from([0, 1]), 0);
    assert.ok(first !== undefined);
    assert.deepEqual(await theirs.get(owner, 'key'), { value: Buffer.from([0, 1]), revision: first });
    assert.equal(await theirs.get('hello', 'key'), undefined);
    assert.equal(await theirs.put(owner, 'key', Buffer.from('new'), 0), undefined);
    assert.equal(await theirs.put(owner, 'key', Buffer.from('new'), first + 1), undefined);
    const second = await theirs.put(owner, 'key', Buffer.from('new'), first);
    assert.ok(second !== undefined && second > first);
    assert.equal(await mine.put(owner, 'key', Buffer.from('late'), first), undefined);
    assert.deepEqual(await mine.get(owner, 'key'), { value: Buffer.from('new'), revision: second });
  });

  it('lets no image keep more than a few values', async () => {
    const blobs = await bus.blobs();
    for (let index = 0; index < 16; index++) await blobs.put('greedy', `key-${index}`, Buffer.from('x'), 0);
    await assert.rejects(blobs.put('greedy', 'key-16', Buffer.from('x'), 0), { code: 'BLOBS_FULL' });
    assert.ok((await blobs.put('modest', 'key', Buffer.from('x'), 0)) !== undefined);
  });

  it('says that no server answers, and that credentials are refused', async () => {
    await assert.rejects(Bus.connect({ source: 'x', credentials: { url: 'nats://127.0.0.1:1' } }), {
      code: 'BUS_UNREACHABLE',
    });
    await assert.rejects(Bus.connect({ source: 'x', credentials: { url: nats.credentials.url } }), {
      code: 'BUS_REFUSED',
    });
    await assert.rejects(Bus.connect({ source: 'x', credentials: '/nowhere/bus.json' }), {
      code: 'BUS_CREDENTIALS_INVALID',
    });
  });

  it('carries build progress to the one who asked', async () => {
    const seen: string[] = [];
    const stop = await bus.onBuildProgress('b1', (progress) => seen.push(progress.stage));
    other.publishBuildProgress('b1', { stage: 'flatten', done: 1, total: 2 });
    other.publishBuildProgress('b2', { stage: 'assemble' });
    other.publishBuildProgress('b1', { stage: 'package' });
    while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve));
    stop();
    assert.deepEqual(seen, ['flatten', 'package']);
  });

  it('stores what was on its way when the server was lost without waiting for an answer that is lost, too', async function () {
    this.timeout(30_000);
    process.kill(nats.pid, 'SIGSTOP');
    const stored = other.publishEvent(record.id, 'booting', {}).then(() => 'stored');
    await nats.crash();
    await nats.restart();
    // A request waits 5 s
    assert.equal(await Promise.race([stored, sleep(4_000, 'waiting')]), 'stored');
  });

  it('tells a watch that saw nothing before the server was restarted what came then, and nothing older', async function () {
    this.timeout(30_000);
    const watch = bus.events();
    await watch.ready;
    await nats.crash();
    await nats.restart();
    await other.publishEvent(record.id, 'booting', {});
    for await (const { name } of watch) {
      assert.equal(name, 'booting');
      break;
    }
  });

  const crash = async (): Promise<void> => {
    const lost = Promise.withResolvers<void>();
    void bus.onConnectionChange((connected) => connected || lost.resolve());
    await nats.crash();
    await lost.promise;
  };

  it('reads a log that is asked for while the server is away once it is back', async function () {
    this.timeout(30_000);
    const id = 'e-0000000000cc';
    const line = (sequence: number) => ({ sequence, time: '2026-01-01T00:00:00.000Z', text: `line ${sequence}` });
    await publishLines(other, id, 'stdout', [line(0), line(1)]);
    await crash();
    const read = async (query: object): Promise<string[]> => {
      const texts: string[] = [];
      for await (const { lines } of bus.logs({ id, ...query })) texts.push(...lines.map(({ text }) => text));
      return texts;
    };
    const reading = Promise.all([read({}), read({ tail: 1 })]);
    await nats.restart();
    assert.deepEqual(await reading, [['line 0', 'line 1'], ['line 1']]);
  });

  it('opens a watch that is asked for while the server is away once it is back', async function () {
    this.timeout(30_000);
    await crash();
    const watch = bus.events();
    await nats.restart();
    await watch.ready;
    await other.publishEvent(record.id, 'booting', {});
    for await (const { name } of watch) {
      assert.equal(name, 'booting');
      break;
    }
  });
});
