import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { connect } from 'nats';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';
import { LogMetrics } from '../src/log-metrics.ts';
import { LogRelay } from '../src/log-relay.ts';
import { FakeLog } from './fake-log.ts';
import { enclaveRecord } from './records.ts';

const KILLS = 2;
const LINES = 20_000;

for (const [title, at] of [
  ['log-relay that is killed again and again', 1],
  ['two log-relays at once, one of them killed and then the other', 2],
] as const) {
  describe(title, () => killed(at));
}

/** `relays` of them run, and one is killed now and then. */
function killed(relays: number): void {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  let guest: FakeGuest;
  let log: FakeLog;
  let record: EnclaveRecord;

  before(async () => {
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
    folder = await mkdtemp(join(tmpdir(), 'enclaver-log-relay-'));
    guest = await FakeGuest.start(join(folder, 'vsock'));
    log = new FakeLog(guest);
    record = enclaveRecord(1, guest.path);
    await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('log-relay')), { mode: 0o600 });
  });

  after(async () => {
    await bus.close();
    await guest[Symbol.asyncDispose]();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('loses and repeats no line on the bus and in files, and loses none on stdout', async function () {
    this.timeout(60_000);
    let stdout = '';
    const start = (): ChildProcess => {
      const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts')], {
        env: {
          ...process.env,
          ENCLAVER_BUS: join(folder, 'bus.json'),
          ENCLAVER_LOG_SINKS: `stdout:json file:${folder}/logs?size=256K&count=100`,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child.stderr?.resume();
      child.stdout?.on('data', (chunk: Buffer) => {
        stdout += chunk.toString('utf8');
      });
      return child;
    };
    const publishedLines = async (wanted: number): Promise<void> => {
      let seen = 0;
      for await (const { lines } of bus.logs({ id: record.id, follow: true })) {
        seen += lines.length;
        if (seen >= wanted) return;
      }
    };

    const running = Array.from({ length: relays }, start);
    await Promise.all(running.map((relay) => once(relay.stderr as Readable, 'data')));
    await bus.enclaves.put(record);
    await bus.publishEvent(record.id, 'launching', { enclave: record });
    const flood = (async () => {
      for (let index = 0; index < LINES; index += 1) {
        log.add(index % 50 < 10 ? 'stderr' : 'stdout', `line ${index} ${'x'.repeat(index % 200)}`);
        if (index % 50 === 0) await sleep(5);
      }
    })();
    for (let kill = 1; kill <= KILLS; kill += 1) {
      await publishedLines((kill * LINES) / (KILLS + 1));
      const [relay] = running.splice(0, 1);
      relay?.kill('SIGKILL');
      if (relay !== undefined) await once(relay, 'exit');
      // A line that was cut off is whole in the next one's output
      stdout += '\n';
      running.push(start());
    }
    await flood;
    log.end();
    for await (const event of bus.events({ id: record.id, replay: true })) {
      if (event.name !== 'log-ended') continue;
      assert.deepEqual(event.data, { lines: LINES, lost: 0 });
      break;
    }
    // Whoever serves the sinks now brings them all of it; one that is told to end before leaves the rest to the next
    const isIn = (text: string): boolean => text.includes(`"sequence":${LINES - 1},`);
    const newest = (): Promise<string> => readFile(join(folder, 'logs', `${record.name}.log`), 'utf8').catch(() => '');
    while (!isIn(stdout) || !isIn(await newest())) await sleep(100);
    for (const relay of running) {
      relay.kill('SIGTERM');
      await once(relay, 'exit');
    }
    const ends: string[] = [];
    for await (const { name } of bus.events({ id: record.id, replay: true, follow: false })) ends.push(name);
    assert.deepEqual(ends, ['launching', 'log-ended']);

    const onBus: number[] = [];
    for await (const { lines, lost } of bus.logs({ id: record.id })) {
      assert.equal(lost, undefined);
      onBus.push(...lines.map(({ sequence }) => sequence));
    }
    eachOnceInOrder(onBus);
    eachOnceInOrder(await inFiles());
    eachOnceInOrder([...new Set(sequences(stdout))]);
  });

  async function inFiles(): Promise<number[]> {
    const names = (await readdir(join(folder, 'logs'))).filter((name) => !name.endsWith('.place'));
    assert.ok(names.length > 3, `${names}`);
    const age = (name: string): number => Number(/\.(\d+)$/.exec(name)?.[1] ?? 0);
    const texts = names.toSorted((a, b) => age(b) - age(a)).map((name) => readFile(join(folder, 'logs', name), 'utf8'));
    return sequences((await Promise.all(texts)).join(''));
  }
}

describe('log-relay with one enclave that floods', () => {
  it("keeps the others' history, and takes their lines meanwhile", async () => {
    await using nats = await NatsProcess.start();
    await using supervisor = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    const { url, user = '', password = '' } = nats.credentials;
    const administrator = await connect({ servers: url, user, pass: password });
    const { streams } = await administrator.jetstreamManager();
    // As if the disk were small
    const capacity = 8 * 1024 * 1024;
    await streams.update('ENCLAVER_LOGS', { max_bytes: capacity });
    await using bus = await Bus.connect({ source: 'log-relay', credentials: nats.as('log-relay') });
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-flood-'));
    const metrics = new Metrics();
    const relay = new LogRelay(bus, pino({ level: 'silent' }), {
      sinks: { published: () => undefined },
      metrics: new LogMetrics(metrics),
    });
    await relay.start();
    await using quietGuest = await FakeGuest.start(join(folder, 'quiet'));
    await using loudGuest = await FakeGuest.start(join(folder, 'loud'));
    const [quiet, loud] = [new FakeLog(quietGuest), new FakeLog(loudGuest)];
    const records = [enclaveRecord(1, quietGuest.path, 'quiet'), enclaveRecord(2, loudGuest.path, 'loud')];
    for (const enclave of records) {
      await supervisor.enclaves.put(enclave);
      await supervisor.publishEvent(enclave.id, 'launching', { enclave });
    }
    const read = async (id = ''): Promise<number[]> => {
      const numbers: number[] = [];
      for await (const { lines } of supervisor.logs({ id })) numbers.push(...lines.map(({ sequence }) => sequence));
      return numbers;
    };
    for (let index = 0; index < 100; index += 1) quiet.add('stdout', `before ${index}`);
    while ((await read(records[0]?.id)).length < 100) await sleep(20);
    // Three times what the bus keeps
    for (let index = 0; index < 1_536; index += 1) {
      loud.add('stdout', Buffer.alloc(16 * 1024, 'x'));
      if (index % 100 === 0) quiet.add('stdout', `during ${index}`);
      if (index % 10 === 0) await sleep(1);
    }
    for (const log of [quiet, loud]) log.end();
    for (const { id } of records) {
      for await (const event of supervisor.events({ id, replay: true })) if (event.name === 'log-ended') break;
    }
    await relay.close();
    assert.deepEqual(
      await read(records[0]?.id),
      Array.from({ length: 116 }, (_, index) => index),
    );
    assert.equal((await read(records[1]?.id)).at(-1), 1_535);
    const { state } = await streams.info('ENCLAVER_LOGS');
    assert.ok(state.bytes < capacity / 2, `${state.bytes}`);
    assert.match(metrics.expose(), /enclaver_log_dropped_bytes_total\{enclave="loud"\} \d/);
    await administrator.close();
    await rm(folder, { recursive: true });
  });
});

function eachOnceInOrder(numbers: readonly number[]): void {
  const fault = numbers.findIndex((number, index) => number !== index);
  assert.equal(fault, -1, `${numbers.slice(Math.max(0, fault - 2), fault + 3)} at ${fault}`);
  assert.equal(numbers.length, LINES);
}

function sequences(text: string): number[] {
  const numbers: number[] = [];
  for (const line of text.split('\n')) {
    const sequence = /^\{.*"sequence":(\d+),"text":"line (\d+) x*"\}$/.exec(line);
    if (sequence?.[1] !== sequence?.[2]) throw new Error(line);
    if (sequence?.[1] !== undefined) numbers.push(Number(sequence[1]));
  }
  return numbers;
}
