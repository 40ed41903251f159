import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeLogHello, LOG_PAYLOAD_MAX, LOG_PORT, LogDecoder, type LogRecord, lostCount } from '@enclaver/wire';
import fc from 'fast-check';
import { limits } from '../src/limits.ts';
import { BackPressure } from '../src/logs/back-pressure.ts';
import { LineCutter } from '../src/logs/line-cutter.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { LogServer } from '../src/logs/log-server.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { FakeParent, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

function take(ring: LogRing, from = 0): LogRecord[] {
  const cursor = ring.cursor(from);
  const decoder = new LogDecoder();
  const records: LogRecord[] = [];
  for (let bytes = cursor.take(); bytes !== undefined; bytes = cursor.take()) records.push(...decoder.push(bytes));
  return records;
}

describe('log', () => {
  it('cuts any bytes into lines of any length, however they arrive (fault B-4)', () => {
    const line = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat({ max: 3 * LOG_PAYLOAD_MAX }).map((length) => new Uint8Array(length).fill(0x61)),
      fc
        .constantFrom(LOG_PAYLOAD_MAX - 1, LOG_PAYLOAD_MAX, LOG_PAYLOAD_MAX + 1)
        .map((length) => new Uint8Array(length)),
    );
    const lines = fc.array(
      line.map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0x0a))),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 40_000 }), (expected, step) => {
        const ring = new LogRing(1 << 20);
        const cutter = new LineCutter(ring, 'stdout');
        const all = Buffer.concat(expected.flatMap((one) => [one, Buffer.from('\n')]));
        for (let at = 0; at < all.length; at += step) cutter.push(all.subarray(at, at + step));
        const got: Buffer[] = [];
        let open = false;
        for (const { payload, continues } of take(ring)) {
          got.push(open ? Buffer.concat([got.pop() ?? Buffer.alloc(0), payload]) : payload);
          open = continues;
        }
        assert.deepEqual(got, expected);
      }),
      { numRuns: 200 },
    );
  });

  it('gives a last line without an end when the stream ends', () => {
    const ring = new LogRing(1 << 20);
    const cutter = new LineCutter(ring, 'stderr');
    cutter.push(Buffer.from('a\nrest'));
    assert.deepEqual(linesOf(take(ring), 'stderr'), ['a']);
    cutter.end();
    assert.deepEqual(linesOf(take(ring), 'stderr'), ['a', 'rest']);
  });

  it('drops the oldest when full, and counts for each reader what that one lost (fault D13)', () => {
    const ring = new LogRing(4 * limits.logBlockBytes);
    const cutter = new LineCutter(ring, 'stdout');
    const count = 50_000;
    for (let i = 0; i < count; i++) cutter.push(Buffer.from(`line ${i}\n`));
    for (const from of [0, 17, 20_000]) {
      const [lost, first, ...rest] = take(ring, from);
      assert.ok(lost && first);
      assert.equal(lost.sequence, BigInt(from));
      assert.equal(lost.sequence + lostCount(lost), first.sequence);
      assert.equal(first.payload.toString(), `line ${first.sequence}`);
      assert.equal(rest.at(-1)?.sequence, BigInt(count - 1));
      for (const [index, record] of rest.entries()) assert.equal(record.sequence, first.sequence + BigInt(index) + 1n);
    }
    assert.deepEqual(
      take(ring, count - 2).map(({ payload }) => payload.toString()),
      [`line ${count - 2}`, `line ${count - 1}`],
    );
    assert.deepEqual(take(ring, count + 5), []);
  });

  it('has no record behind its end', () => {
    const ring = new LogRing(1 << 20);
    const log = new OdynLog(ring);
    log.info('first');
    ring.end();
    log.info('late');
    assert.equal(take(ring).length, 1);
    assert.equal(ring.next, 1);
  });

  it("writes odyn's own lines as JSON", () => {
    const ring = new LogRing(1 << 20);
    new OdynLog(ring).warn('a "quoted"\nmessage', { port: 1 });
    const { msg, level, port } = JSON.parse(linesOf(take(ring), 'odyn')[0] ?? '');
    assert.deepEqual([msg, level, port], ['a "quoted"\nmessage', 'warn', 1]);
  });

  describe('served', function () {
    this.timeout(30_000);
    let parent: FakeParent;
    beforeEach(async () => {
      parent = await FakeParent.make();
    });
    afterEach(() => parent.close());

    it('loses nothing to readers that keep up, however much the app writes', async () => {
      const script = 'while [ ! -e /tmp/go ]; do sleep 0.05; done; seq 1 400000';
      const { finished, root } = await startOdyn(parent, { argv: ['/bin/sh', '-c', script] });
      const status = await StatusReader.open(parent);
      const logs = Promise.all([readLog(parent), readLog(parent)]);
      await status.phase('ready');
      // Readers that come later can only get what is still held
      await sleep(200);
      await writeFile(join(root, 'tmp/go'), '');
      const [one, two] = await logs;
      await Promise.all([status.final(), finished]);
      for (const log of [one, two]) {
        const lines = linesOf(log, 'stdout');
        assert.equal(lines.length, 400_000);
        assert.equal(lines[399_999], '400000');
        assert.equal(log.filter(({ stream }) => stream === 'lost').length, 0);
      }
    });

    it('does not let a reader that reads nothing stop the app', async () => {
      const { finished } = await startOdyn(parent, { argv: ['/bin/sh', '-c', 'seq 1 1000000'] });
      const stuck = await parent.dial(LOG_PORT);
      stuck.pause();
      stuck.write(encodeLogHello(0n));
      const status = await StatusReader.open(parent);
      assert.deepEqual(await status.final(), { status: 'exited', code: 0 });
      const log = await readLog(parent);
      const [lost] = log.filter(({ stream }) => stream === 'lost');
      assert.ok(lost && lostCount(lost) > 0n);
      assert.equal(linesOf(log, 'stdout').at(-1), '1000000');
      stuck.destroy();
      await finished;
    });

    it('goes on where a reader wants, so that one that comes back misses nothing', async () => {
      const ring = new LogRing(1 << 20);
      const backPressure = new BackPressure();
      const server = await LogServer.listen(parent.transport, ring, new OdynLog(ring), backPressure);
      const cutter = new LineCutter(ring, 'stdout');
      cutter.push(Buffer.from('0\n1\n2\n'));
      const reading = readLog(parent, 1n);
      await sleep(50);
      cutter.push(Buffer.from('3\n'));
      ring.end();
      const log = await reading;
      assert.deepEqual(linesOf(log, 'stdout'), ['1', '2', '3']);
      assert.equal(log.at(-1)?.sequence, 4n);
      await server.finished;
      await server.close();
    });
  });
});
