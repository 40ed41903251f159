import { WireError } from './wire-error.ts';

/**
 * Log protocol (vsock 17001). The reader first sends 8 bytes, u64 little-endian: the sequence number it wants to start
 * at (0 = the oldest held). The enclave then sends records until it ends. A record is a 24-byte header and its bytes:
 *
 * | offset | size | field |
 * | --- | --- | --- |
 * | 0 | 4 | payload length, u32 |
 * | 4 | 1 | stream: 1 app stdout, 2 app stderr, 3 odyn, 254 lost, 255 end |
 * | 5 | 1 | flags: bit 0 = the line goes on in the stream's next record |
 * | 6 | 2 | zero |
 * | 8 | 8 | sequence number, u64: counts records, 0 first, no gaps but those a `lost` record names |
 * | 16 | 8 | microseconds since 1970, u64, of the enclave's clock |
 *
 * All little-endian. `lost` carries the count of records dropped before it as u64 (its own sequence number is that of the
 * first record dropped); `end` says that the enclave has nothing more to say. The original sends raw bytes of both
 * streams mixed, cuts a stream at a line over 4 KiB and drops silently (faults D13, B-4): records are why ours does not.
 */
export const LOG_HEADER_BYTES = 24;
export const LOG_HELLO_BYTES = 8;

/** Longest payload of one record. A longer line becomes several records, each but the last flagged as going on. */
export const LOG_PAYLOAD_MAX = 16 * 1024;

const STREAM_IDS = { stdout: 1, stderr: 2, odyn: 3, lost: 254, end: 255 } as const;
const STREAM_NAMES = new Map<number, LogStream>(
  Object.entries(STREAM_IDS).map(([name, id]) => [id, name as LogStream]),
);
const FLAG_CONTINUES = 1;

export type LogStream = keyof typeof STREAM_IDS;

export interface LogRecord {
  readonly stream: LogStream;
  readonly sequence: bigint;
  /** Microseconds since 1970 on the enclave's clock. */
  readonly timeUs: bigint;
  /** The line goes on in the stream's next record. */
  readonly continues: boolean;
  /** Bytes of the line without its LF; for `lost`, see `lostCount`. */
  readonly payload: Buffer;
}

/** What a reader sends first: the sequence number to start at. */
export function encodeLogHello(from: bigint): Buffer {
  const hello = Buffer.alloc(LOG_HELLO_BYTES);
  hello.writeBigUInt64LE(from);
  return hello;
}

/** Sequence number wanted by a reader. */
export function decodeLogHello(hello: Buffer): bigint {
  return hello.readBigUInt64LE();
}

export function encodeLogRecord(record: LogRecord): Buffer {
  if (record.payload.length > LOG_PAYLOAD_MAX) {
    throw new WireError('FRAME_TOO_LARGE', `log record of ${record.payload.length} bytes, at most ${LOG_PAYLOAD_MAX}`);
  }
  const frame = Buffer.alloc(LOG_HEADER_BYTES + record.payload.length);
  frame.writeUInt32LE(record.payload.length, 0);
  frame.writeUInt8(STREAM_IDS[record.stream], 4);
  frame.writeUInt8(record.continues ? FLAG_CONTINUES : 0, 5);
  frame.writeBigUInt64LE(record.sequence, 8);
  frame.writeBigUInt64LE(record.timeUs, 16);
  record.payload.copy(frame, LOG_HEADER_BYTES);
  return frame;
}

/** Payload of a `lost` record: how many records were dropped. */
export function encodeLostCount(count: bigint): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(count);
  return payload;
}

export function lostCount(record: LogRecord): bigint {
  if (record.stream !== 'lost' || record.payload.length !== 8) {
    throw new WireError('FRAME_INVALID', `not a lost record: stream ${record.stream}, ${record.payload.length} bytes`);
  }
  return record.payload.readBigUInt64LE();
}

/** Reads records out of a byte stream. `push` throws `WireError` on a frame that breaks the format. */
export class LogDecoder {
  /** A record that has not come whole. Each byte is copied here once: a peer that sends single ones must not cost a copy of all for each. */
  readonly #part = Buffer.allocUnsafe(LOG_HEADER_BYTES + LOG_PAYLOAD_MAX);
  #held = 0;

  push(chunk: Buffer): LogRecord[] {
    const records: LogRecord[] = [];
    let offset = this.#complete(chunk, records);
    for (let end = endOf(chunk, offset); end !== undefined && end <= chunk.length; end = endOf(chunk, offset)) {
      records.push(decodeRecord(chunk.subarray(offset, end)));
      offset = end;
    }
    this.#held += chunk.copy(this.#part, this.#held, offset);
    return records;
  }

  /** Adds to the record that is held; gives how much of the chunk that takes. */
  #complete(chunk: Buffer, records: LogRecord[]): number {
    let taken = 0;
    while (this.#held > 0) {
      const end = endOf(this.#part.subarray(0, this.#held), 0) ?? LOG_HEADER_BYTES;
      if (this.#held === end) {
        records.push(decodeRecord(this.#part.subarray(0, end)));
        this.#held = 0;
        break;
      }
      if (taken === chunk.length) break;
      const added = chunk.copy(this.#part, this.#held, taken, taken + end - this.#held);
      this.#held += added;
      taken += added;
    }
    return taken;
  }
}

/** Where the record at `offset` ends; undefined without a whole header. */
function endOf(bytes: Buffer, offset: number): number | undefined {
  if (bytes.length - offset < LOG_HEADER_BYTES) return undefined;
  const length = bytes.readUInt32LE(offset);
  if (length > LOG_PAYLOAD_MAX) {
    throw new WireError('FRAME_TOO_LARGE', `log record of ${length} bytes, at most ${LOG_PAYLOAD_MAX}`);
  }
  return offset + LOG_HEADER_BYTES + length;
}

function decodeRecord(frame: Buffer): LogRecord {
  const stream = STREAM_NAMES.get(frame.readUInt8(4));
  const flags = frame.readUInt8(5);
  if (stream === undefined || flags > FLAG_CONTINUES || frame.readUInt16LE(6) !== 0) {
    throw new WireError('FRAME_INVALID', `log record with stream ${frame.readUInt8(4)} and flags ${flags}`);
  }
  return {
    stream,
    sequence: frame.readBigUInt64LE(8),
    timeUs: frame.readBigUInt64LE(16),
    continues: (flags & FLAG_CONTINUES) !== 0,
    // Copied: a record may be kept long after the chunk it came in
    payload: Buffer.from(frame.subarray(LOG_HEADER_BYTES)),
  };
}
