import type { BlockPool } from './block-pool.ts';
import type { EifError } from './errors.ts';

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

/** The same bytes in full blocks of the pool, but for the last one. Whoever takes a block gives it back. */
export async function* blocks(source: ByteSource, pool: BlockPool): AsyncGenerator<Buffer, void, void> {
  let block: Buffer | undefined;
  let used = 0;
  for await (const piece of pieces(source)) {
    for (let taken = 0; taken < piece.length; ) {
      block ??= await pool.take();
      const copied = piece.copy(block, used, taken);
      taken += copied;
      used += copied;
      if (used < block.length) continue;
      yield block;
      block = undefined;
      used = 0;
    }
  }
  if (block !== undefined) yield block.subarray(0, used);
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
