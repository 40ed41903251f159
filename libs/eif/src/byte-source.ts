import type { EifError } from './errors.ts';
import { GATHER_BYTES, PASS_THROUGH_BYTES } from './limits.ts';

/** Bytes in pieces of any size, or all at once. A piece is read before the next one is asked for. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array> | Uint8Array;

/** The pieces of a source; one piece when the source is a byte array. Refuses pieces that are not bytes. */
export async function* pieces(source: ByteSource): AsyncGenerator<Buffer, void, void> {
  if (source instanceof Uint8Array) {
    yield asBuffer(source);
    return;
  }
  for await (const piece of source) {
    if (!(piece instanceof Uint8Array)) {
      throw new TypeError(`a byte source gave a piece of type ${typeof piece}; only Uint8Array is allowed`);
    }
    yield asBuffer(piece);
  }
}

/**
 * The same bytes in larger blocks. A block is valid only until the next one is asked for: the gather buffer is reused.
 */
export async function* blocks(source: ByteSource): AsyncGenerator<Buffer, void, void> {
  const gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);
  let used = 0;
  for await (const piece of pieces(source)) {
    if (piece.length === 0) continue;
    if (used > 0 && (piece.length >= PASS_THROUGH_BYTES || used + piece.length > GATHER_BYTES)) {
      yield gathered.subarray(0, used);
      used = 0;
    }
    if (piece.length >= PASS_THROUGH_BYTES) {
      yield piece;
    } else {
      used += piece.copy(gathered, used);
    }
  }
  if (used > 0) yield gathered.subarray(0, used);
}

/** All bytes of a source of at most `max` bytes; `tooLarge` makes the error for a longer one. */
export async function collect(source: ByteSource, max: number, tooLarge: () => EifError): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces(source)) {
    size += piece.length;
    if (size > max) throw tooLarge();
    parts.push(Buffer.from(piece));
  }
  return Buffer.concat(parts, size);
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
