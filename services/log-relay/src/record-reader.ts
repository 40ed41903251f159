import { VsockError, type VsockStream } from '@enclaver/vsock';
import { encodeLogHello, LogDecoder, type LogRecord, lostCount, WireError } from '@enclaver/wire';

/** Numbers go out as JSON: past this they are no longer exact. No honest enclave gets there. */
const LAST_SEQUENCE = BigInt(Number.MAX_SAFE_INTEGER);

/** Where the reading of one enclave's records stands; outlives a connection that breaks. */
export interface ReadPosition {
  /** Sequence number to ask for next. */
  next: bigint;
}

export interface RecordSink {
  /** A promise of when there is room for the next one, where there is none now. */
  record(record: LogRecord): Promise<void> | undefined;
  /** So many records are missing, from `sequence` on. */
  lost(sequence: bigint, count: bigint): Promise<void> | undefined;
}

/**
 * Reads records from one connection on from `position`, each handed over before the next is read. Returns true when the
 * enclave said that nothing more will come, false when the connection ended or broke before that.
 * The enclave is not trusted: sequence numbers must go forward, and a gap counts as lost even if nothing says so.
 *
 * @throws WireError when the enclave breaks the protocol
 */
export async function readRecords(stream: VsockStream, position: ReadPosition, sink: RecordSink): Promise<boolean> {
  const decoder = new LogDecoder();
  stream.write(encodeLogHello(position.next));
  try {
    for await (const chunk of stream) {
      for (const record of decoder.push(chunk as Buffer)) {
        if (record.stream === 'end') return true;
        const room = accept(record, position, sink);
        // Thousands come at a time: only what must wait does
        if (room !== undefined) await room;
      }
    }
    return false;
  } catch (error) {
    // A connection that breaks is no failure: reading goes on from the next one
    if (error instanceof VsockError || isCutShort(error)) return false;
    throw error;
  } finally {
    stream.destroy();
  }
}

/** What an iteration throws when its stream is destroyed under it. */
export function isCutShort(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function accept(record: LogRecord, position: ReadPosition, sink: RecordSink): Promise<void> | undefined {
  const count = record.stream === 'lost' ? lostCount(record) : 1n;
  const after = record.sequence + count;
  if (record.sequence < position.next || count === 0n || after > LAST_SEQUENCE) {
    throw new WireError('FRAME_INVALID', `log record ${record.sequence} (+${count}) where ${position.next} was due`);
  }
  const gap = record.sequence - position.next + (record.stream === 'lost' ? count : 0n);
  const first = position.next;
  position.next = after;
  const room = gap > 0n ? sink.lost(first, gap) : undefined;
  return record.stream === 'lost' ? room : sink.record(record);
}
