import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOf, expectBytes } from './bytes.ts';
import { failuresOf, faultsOf, judge, MEMORY, tables } from './report.ts';
import { soak } from './soak.ts';
import { grows, trendOf } from './trend.ts';

const MINUTES = 3;
/** A tenth of what two slow cores do in that time. */
const CONNECTIONS = 5_000;

describe('soak', function () {
  this.timeout((MINUTES + 4) * 60_000);

  it(`is flat and loses nothing in ${MINUTES} minutes, and tells a leak that is planted beside it`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-soak-'));
    const planted = spawn(process.execPath, [join(import.meta.dirname, 'planted.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(planted.stdout, 'data');
      const outcome = await soak({
        connections: CONNECTIONS,
        minutes: MINUTES,
        load: 0.7,
        folder,
        seed: 1,
        beside: { planted: planted.pid ?? 0 },
      });
      process.stdout.write(`\n${tables(outcome)}\n\n`);
      const expected = ['memory of planted grows', 'descriptors of planted grows'];
      assert.deepEqual(faultsOf(outcome), expected, failuresOf(outcome).join('\n'));
      const rows = (await readFile(join(folder, 'samples.csv'), 'utf8')).trim().split('\n');
      assert.ok(rows.length > 5 * 50, `${rows.length} rows`);
    } finally {
      planted.kill();
      await rm(folder, { recursive: true });
    }
  });

  describe('its rule', () => {
    /** One value a minute for two hours. */
    const hours = (value: (minute: number) => number) =>
      trendOf(Array.from({ length: 121 }, (_, minute) => ({ seconds: minute * 60, value: value(minute) })));
    const sawtooth = (minute: number): number => 60 + (minute % 7) * 3;

    it('tells what grows slowly under the teeth of a heap, and nothing else', () => {
      assert.equal(grows(hours(sawtooth), MEMORY), false);
      assert.equal(
        grows(
          hours((minute) => sawtooth(minute) + minute * 0.13),
          MEMORY,
        ),
        true,
      );
    });

    it('leaves out the time in which a process warms up', () => {
      const warm = hours((minute) => 60 + Math.min(minute, 40));
      assert.deepEqual([warm.median, warm.perHour, grows(warm, MEMORY)], [100, 0, false]);
    });

    it('gives the slope for each hour, and what it makes beside the whole', () => {
      const { perHour, growth, percent } = hours((minute) => 40 + minute / 10);
      assert.deepEqual([perHour, growth, percent].map(Math.round), [6, 8, 17]);
    });

    it('takes no tooth of nats-server for growth where there are few, and what grows by more for what it is', () => {
      const sample = { resident: 1, descriptors: 20, threads: 8 };
      const of = (name: string, minutes: number, anonymous: (minute: number) => number) => {
        const samples = Array.from({ length: 61 }, (_, index) => (index * minutes) / 60).map((minute) => ({
          ...sample,
          seconds: minute * 60,
          anonymous: anonymous(minute),
        }));
        return judge({ name, samples, descriptors: { before: 20, after: 20 } }).grown;
      };
      const tooth = (minute: number): number => 10 + 17 * ((minute + 1) % 2);
      assert.deepEqual(of('nats-server', 3, tooth), []);
      assert.deepEqual(of('log-relay', 3, tooth), ['memory']);
      assert.deepEqual(
        of('nats-server', 3, (minute) => minute * 40),
        ['memory'],
      );
      assert.deepEqual(
        of('nats-server', 120, (minute) => tooth(minute) + minute * 0.2),
        ['memory'],
      );
    });

    it('tells what has more descriptors than before, and more and more threads', () => {
      const sample = { anonymous: 1, resident: 1, descriptors: 20, threads: 8 };
      const samples = [0, 60, 120, 180].map((seconds) => ({ ...sample, seconds }));
      const growing = samples.map((one, index) => ({ ...one, threads: 8 + 3 * index }));
      const of = (after: number) => ({ name: 'x', samples, descriptors: { before: 20, after } });
      assert.deepEqual(judge(of(20)).grown, []);
      assert.deepEqual(judge(of(40)).grown, ['descriptors']);
      assert.deepEqual(judge({ ...of(20), samples: growing }).grown, ['threads']);
    });
  });

  it('takes no byte for another, none too many and none too few', async () => {
    const part = { offset: 1_000, length: 5_000 };
    const stream = async function* (...chunks: Buffer[]) {
      yield* chunks;
    };
    const bytes = bytesOf(part);
    const other = Buffer.from(bytes);
    other[4_999] = (other[4_999] ?? 0) ^ 1;
    await expectBytes(stream(bytes.subarray(0, 7), bytes.subarray(7)), part);
    for (const wrong of [other, bytes.subarray(1), bytes.subarray(0, 4_999), Buffer.concat([bytes, bytes])])
      await assert.rejects(expectBytes(stream(wrong), part), /wrong bytes/);
  });
});
