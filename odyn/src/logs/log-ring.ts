import { encodeLogRecord, encodeLostCount, LOG_HEADER_BYTES, LOG_PAYLOAD_MAX, type LogStream } from '@enclaver/wire';
import { limits } from '../limits.ts';

/** Streams that lines come from. */
export type SourceStream = Extract<LogStream, 'stdout' | 'stderr' | 'odyn'>;

/** Whole records, ready to be sent, one after the other. */
interface Block {
  readonly firstSequence: number;
  /** Bytes of all records before this block's. */
  readonly firstByte: number;
  readonly bytes: Buffer;
  count: number;
  used: number;
}

/**
 * Holds the newest log records, in the form they are sent in: a reader gets blocks of up to 64 KiB, and nothing is
 * allocated per line. When the ring is full the oldest block goes; readers that had not read it are told how many
 * records that were.
 */
export class LogRing {
  readonly #maxBlocks: number;
  readonly #blocks: Block[] = [];
  readonly #headers = {
    stdout: headerOf('stdout'),
    stderr: headerOf('stderr'),
    odyn: headerOf('odyn'),
  };
  readonly #listeners = new Set<() => void>();
  #nextSequence = 0;
  #nextByte = 0;
  #ended = false;

  constructor(capacityBytes: number) {
    this.#maxBlocks = Math.max(2, Math.floor(capacityBytes / limits.logBlockBytes));
  }

  /** Sequence number of the oldest record held. */
  get first(): number {
    return this.#blocks[0]?.firstSequence ?? 0;
  }

  /** Sequence number that the next record gets. */
  get next(): number {
    return this.#nextSequence;
  }

  /** Bytes of all records ever added. */
  get totalBytes(): number {
    return this.#nextByte;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Called after `announce` and `end`. */
  onChange(listener: () => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  /**
   * Adds one record of at most LOG_PAYLOAD_MAX bytes, `source` from `start` to `end`; readers hear of it by `announce`. After `end`
   * it adds nothing: a reader may have been told already how many records there are.
   */
  append(stream: SourceStream, source: Buffer, start: number, end: number, continues: boolean, timeUs: number): void {
    if (this.#ended) return;
    const length = end - start;
    const block = this.#blockFor(LOG_HEADER_BYTES + length);
    const { bytes, used } = block;
    bytes.set(this.#headers[stream], used);
    bytes.writeUInt32LE(length, used);
    if (continues) bytes[used + 5] = 1;
    writeU64(bytes, this.#nextSequence, used + 8);
    writeU64(bytes, timeUs, used + 16);
    source.copy(bytes, used + LOG_HEADER_BYTES, start, end);
    block.used += LOG_HEADER_BYTES + length;
    block.count++;
    this.#nextSequence++;
    this.#nextByte += LOG_HEADER_BYTES + length;
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }

  /** No record follows. */
  end(): void {
    this.#ended = true;
    this.announce();
  }

  /** A place to read from: `sequence`, or the oldest record held and word of what is missing before it. */
  cursor(sequence: number): LogCursor {
    return new LogCursor(this, Math.min(sequence, this.#nextSequence), (at) => this.#blockWith(at));
  }

  #blockFor(size: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.bytes.length - last.used >= size) return last;
    const block: Block = {
      firstSequence: this.#nextSequence,
      firstByte: this.#nextByte,
      bytes: Buffer.allocUnsafeSlow(limits.logBlockBytes),
      count: 0,
      used: 0,
    };
    this.#blocks.push(block);
    if (this.#blocks.length > this.#maxBlocks) this.#blocks.shift();
    return block;
  }

  #blockWith(sequence: number): Block | undefined {
    return this.#blocks.findLast((block) => block.firstSequence <= sequence);
  }
}

/** A reader's place in the ring. */
export class LogCursor {
  readonly #ring: LogRing;
  readonly #find: (sequence: number) => Block | undefined;
  #sequence: number;
  #block: Block | undefined;
  #offset = 0;

  constructor(ring: LogRing, sequence: number, find: (sequence: number) => Block | undefined) {
    this.#ring = ring;
    this.#find = find;
    this.#sequence = sequence;
  }

  /** Bytes of records not yet taken. */
  get behind(): number {
    if (this.#sequence === this.#ring.next) return 0;
    const block = this.#block ?? this.#find(Math.max(this.#sequence, this.#ring.first));
    return block === undefined ? 0 : this.#ring.totalBytes - block.firstByte - this.#offset;
  }

  /** The next records, at most a block of them; undefined when there are none. The bytes stay as they are. */
  take(): Buffer | undefined {
    const block = this.#block;
    if (block !== undefined && this.#offset < block.used) return this.#rest(block);
    this.#block = undefined;
    this.#offset = 0;
    if (this.#sequence === this.#ring.next) return undefined;
    if (this.#sequence < this.#ring.first) return this.#skipLost();
    this.#block = this.#find(this.#sequence);
    if (this.#block === undefined) return undefined;
    this.#offset = offsetOf(this.#block, this.#sequence);
    return this.#rest(this.#block);
  }

  #rest(block: Block): Buffer {
    const rest = block.bytes.subarray(this.#offset, block.used);
    this.#offset = block.used;
    this.#sequence = block.firstSequence + block.count;
    return rest;
  }

  #skipLost(): Buffer {
    const count = this.#ring.first - this.#sequence;
    const record = encodeLogRecord({
      stream: 'lost',
      sequence: BigInt(this.#sequence),
      timeUs: BigInt(nowUs()),
      continues: false,
      payload: encodeLostCount(BigInt(count)),
    });
    this.#sequence = this.#ring.first;
    return record;
  }
}

/** Microseconds since 1970, in steps of a millisecond. */
export function nowUs(): number {
  return Date.now() * 1000;
}

/** The record that ends a log of `sequence` records. */
export function endRecord(sequence: number): Buffer {
  return encodeLogRecord({
    stream: 'end',
    sequence: BigInt(sequence),
    timeUs: BigInt(nowUs()),
    continues: false,
    payload: Buffer.alloc(0),
  });
}

function offsetOf(block: Block, sequence: number): number {
  let offset = 0;
  for (let at = block.firstSequence; at < sequence; at++) {
    offset += LOG_HEADER_BYTES + block.bytes.readUInt32LE(offset);
  }
  return offset;
}

function headerOf(stream: SourceStream): Buffer {
  return encodeLogRecord({ stream, sequence: 0n, timeUs: 0n, continues: false, payload: Buffer.alloc(0) });
}

function writeU64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, offset);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

// A record must fit into a block, or it could never be stored.
if (LOG_HEADER_BYTES + LOG_PAYLOAD_MAX > limits.logBlockBytes)
  throw new RangeError('limits.logBlockBytes is too small');
