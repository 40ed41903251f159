import assert from 'node:assert/strict';

/** What a file in `targets/` is: one reader of bytes that somebody else has made. */
export interface FuzzTarget {
  /** Inputs as they should be, from which the fuzzer starts besides what `corpus/` has. */
  readonly seeds: readonly (Uint8Array | string)[];
  /** Throws when the reader does what it must not: another error than its own, a value it should not take, two meanings. */
  fuzz(input: Buffer): void | Promise<void>;
}

/** Classes of errors that a reader may refuse with. */
type Own = new (...args: never[]) => Error;

/** Longest message that an input may cause: it goes into logs and over the bus. */
const MESSAGE_MAX = 16_384;

/** What a reader gives, or undefined where it refuses with an error of its own. Every other error is a find. */
export function readOrRefuse<T>(read: () => T, own: Own): T | undefined {
  try {
    return read();
  } catch (error) {
    return refused(error, own);
  }
}

/** The same of a reader that takes its time. */
export async function readOrRefuseLater<T>(read: () => Promise<T>, own: Own): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    return refused(error, own);
  }
}

function refused(error: unknown, own: Own): undefined {
  if (!(error instanceof own)) throw error;
  assert.ok(error.message.length <= MESSAGE_MAX, `a message of ${error.message.length} characters`);
}

/** A reader of a stream gives the same however its bytes are cut: whole, by single bytes at first, and in two parts. */
export function sameInPieces<T>(input: Buffer, read: (pieces: readonly Buffer[]) => T): T {
  const middle = input.length >> 1;
  const whole = read([input]);
  const first = Array.from({ length: Math.min(64, input.length) }, (_, at) => input.subarray(at, at + 1));
  assert.deepEqual(read([input.subarray(0, middle), input.subarray(middle)]), whole);
  assert.deepEqual(read([...first, input.subarray(first.length)]), whole);
  return whole;
}
