import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decodeLogHello,
  encodeLogHello,
  encodeLogRecord,
  encodeLostCount,
  LOG_HEADER_BYTES,
  LOG_PAYLOAD_MAX,
  LogDecoder,
  type LogRecord,
  lostCount,
} from '../src/index.ts';

const record = (change: Partial<LogRecord> = {}): LogRecord => ({
  stream: 'stdout',
  sequence: 0n,
  timeUs: 0n,
  continues: false,
  payload: Buffer.from('line'),
  ...change,
});

const records = fc.array(
  fc.record(
    {
      stream: fc.constantFrom('stdout', 'stderr', 'odyn', 'lost', 'end'),
      sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      timeUs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      continues: fc.boolean(),
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 20 },
);

describe('log records', () => {
  it('have the documented bytes', () => {
    const frame = encodeLogRecord(record({ stream: 'stderr', sequence: 5n, timeUs: 7n, continues: true }));
    assert.equal(
      frame.toString('hex'),
      '04000000' + '02' + '01' + '0000' + '0500000000000000' + '0700000000000000' + '6c696e65',
    );
  });

  it('come whole out of any cutting of the stream, whatever their bytes (D13)', () => {
    fc.assert(
      fc.property(records, fc.integer({ min: 1, max: 64 }), (sent, size) => {
        const bytes = Buffer.concat(sent.map(encodeLogRecord));
        const decoder = new LogDecoder();
        const seen: LogRecord[] = [];
        for (let at = 0; at < bytes.length; at += size) seen.push(...decoder.push(bytes.subarray(at, at + size)));
        assert.deepEqual(seen, sent);
      }),
    );
  });

  it('do not change when the chunk they came in is used again', () => {
    const chunk = encodeLogRecord(record());
    const [seen] = new LogDecoder().push(chunk);
    chunk.fill(0);
    assert.equal(seen?.payload.toString(), 'line');
  });

  it('that break the format are refused before anything is collected for them', () => {
    const frame = encodeLogRecord(record());
    const broken = (offset: number, value: number) => {
      const copy = Buffer.from(frame);
      copy[offset] = value;
      return copy;
    };
    const long = broken(0, 0);
    long.writeUInt32LE(LOG_PAYLOAD_MAX + 1, 0);
    assert.throws(() => new LogDecoder().push(long.subarray(0, LOG_HEADER_BYTES)), { code: 'FRAME_TOO_LARGE' });
    for (const bytes of [broken(4, 0), broken(4, 9), broken(5, 2), broken(6, 1)]) {
      assert.throws(() => new LogDecoder().push(bytes), { code: 'FRAME_INVALID' });
    }
    assert.throws(() => encodeLogRecord(record({ payload: Buffer.alloc(LOG_PAYLOAD_MAX + 1) })), {
      code: 'FRAME_TOO_LARGE',
    });
  });

  it('count what was lost', () => {
    assert.equal(lostCount(record({ stream: 'lost', payload: encodeLostCount(123n) })), 123n);
    assert.throws(() => lostCount(record()), { code: 'FRAME_INVALID' });
  });

  it('begin where the reader asks', () => {
    assert.equal(decodeLogHello(encodeLogHello(2n ** 40n)), 2n ** 40n);
  });
});
