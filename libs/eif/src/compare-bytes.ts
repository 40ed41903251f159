import { createHash } from 'node:crypto';
import { type ByteSource, pieces } from './byte-source.ts';
import type { DataSide } from './diff.ts';

export interface ByteComparison {
  a: DataSide;
  b: DataSide;
  /** Left out when both are the same; the length of the shorter one when it is the start of the other. */
  firstDifference?: number;
}

/** Reads two byte strings side by side to their ends, in the memory of one piece of each. */
export async function compareBytes(a: ByteSource, b: ByteSource): Promise<ByteComparison> {
  const [left, right] = [new Side(a), new Side(b)];
  let firstDifference: number | undefined;
  for (;;) {
    const [one, other] = [await left.peek(), await right.peek()];
    if (one === undefined && other === undefined) break;
    const length = Math.min(one?.length ?? 0, other?.length ?? 0) || (one?.length ?? other?.length ?? 0);
    if (firstDifference === undefined) {
      const at = one === undefined || other === undefined ? 0 : firstIn(one.subarray(0, length), other);
      if (at !== undefined) firstDifference = (one === undefined ? left : right).size + at;
    }
    if (one !== undefined) left.advance(length);
    if (other !== undefined) right.advance(length);
  }
  const same = firstDifference === undefined ? {} : { firstDifference };
  return { a: left.finish(), b: right.finish(), ...same };
}

/** Where the bytes of `a` first differ from those at the start of `b`. */
function firstIn(a: Buffer, b: Buffer): number | undefined {
  if (a.equals(b.subarray(0, a.length))) return undefined;
  return a.findIndex((byte, index) => byte !== b[index]);
}

class Side {
  size = 0;
  readonly #pieces: AsyncGenerator<Buffer, void, void>;
  readonly #hash = createHash('sha256');
  #piece: Buffer = Buffer.alloc(0);

  constructor(source: ByteSource) {
    this.#pieces = pieces(source);
  }

  async peek(): Promise<Buffer | undefined> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next();
      if (next.done) return undefined;
      this.#piece = next.value;
    }
    return this.#piece;
  }

  advance(length: number): void {
    this.#hash.update(this.#piece.subarray(0, length));
    this.#piece = this.#piece.subarray(length);
    this.size += length;
  }

  finish(): DataSide {
    return { size: this.size, sha256: this.#hash.digest('hex') };
  }
}
