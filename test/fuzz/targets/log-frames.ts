import assert from 'node:assert/strict';
import { encodeLogRecord, encodeLostCount, LogDecoder, type LogRecord, lostCount, WireError } from '@enclaver/wire';
import { readOrRefuse, sameInPieces } from '../target.ts';

const record = (stream: LogRecord['stream'], payload: Buffer, continues = false): Buffer =>
  encodeLogRecord({ stream, sequence: 7n, timeUs: 1_700_000_000_000_000n, continues, payload });

export const seeds = [
  record('stdout', Buffer.from('a line')),
  Buffer.concat([record('stderr', Buffer.from('part'), true), record('stderr', Buffer.from('end'))]),
  Buffer.concat([record('lost', encodeLostCount(5n)), record('end', Buffer.alloc(0))]),
];

/** Log records: the same however they are cut; written again they are the bytes that were read. */
export function fuzz(input: Buffer): void {
  const records = readOrRefuse(
    () =>
      sameInPieces(input, (pieces) => {
        const decoder = new LogDecoder();
        return pieces.flatMap((piece) => decoder.push(piece));
      }),
    WireError,
  );
  if (records === undefined) return;
  const written = Buffer.concat(records.map(encodeLogRecord));
  assert.deepEqual(written, input.subarray(0, written.length));
  for (const each of records) readOrRefuse(() => lostCount(each), WireError);
}
