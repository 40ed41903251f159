import { endsEarly } from '../image/blob-store.ts';
import { limits } from '../limits.ts';
import type { Spool } from './flatten.ts';
import type { Extent } from './node.ts';

/**
 * Reads files out of spooled layers, one at a time, into one buffer. Files that stand close together in their layer, as in
 * the order of their names they mostly do, cost one read together.
 */
export class ExtentReader {
  readonly #spools: readonly Spool[];
  readonly #buffer = Buffer.allocUnsafeSlow(limits.readBytes);
  /** Which part of which spool the buffer holds. */
  #held: Extent = { spool: 0, offset: 0, size: 0 };

  constructor(spools: readonly Spool[]) {
    this.#spools = spools;
  }

  /** A piece is valid until the next one is asked for. Throws IMAGE_TRUNCATED. */
  async *read({ spool, offset, size }: Extent): AsyncGenerator<Buffer> {
    const end = offset + size;
    for (let at = offset; at < end; ) {
      if (!this.#holds(spool, at)) await this.#fill(spool, at, end - at);
      const from = at - this.#held.offset;
      const piece = this.#buffer.subarray(from, Math.min(this.#held.size, from + end - at));
      at += piece.length;
      yield piece;
    }
  }

  #holds(spool: number, at: number): boolean {
    return spool === this.#held.spool && at >= this.#held.offset && at < this.#held.offset + this.#held.size;
  }

  async #fill(index: number, offset: number, missing: number): Promise<void> {
    const spool = this.#spools[index];
    if (spool === undefined) throw new TypeError(`there are bytes in layer ${index}, which was not spooled`);
    const length = Math.min(Math.max(missing, limits.readAheadBytes), this.#buffer.length);
    const { bytesRead } = await spool.file.read(this.#buffer, 0, length, spool.base + offset);
    if (bytesRead === 0) throw endsEarly(missing);
    this.#held = { spool: index, offset, size: bytesRead };
  }
}
