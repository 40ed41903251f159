import { BLOCK_BYTES, POOL_BLOCKS } from './limits.ts';

/** Blocks of memory that threads share: a bound on what was read and is not yet hashed and written. */
export class BlockPool {
  readonly #free = Array.from({ length: POOL_BLOCKS }, () => new SharedArrayBuffer(BLOCK_BYTES));
  #failure: { cause: unknown } | undefined;
  #wake: () => void = () => undefined;

  /** A block to be filled, once one is free; for one caller at a time. Throws what a use of a block failed with. */
  async take(): Promise<Buffer> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.cause;
      const block = this.#free.pop();
      if (block !== undefined) return Buffer.from(block);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes a block, or the part of it that was filled, back when all `uses` of it have ended. */
  giveBack({ buffer }: Buffer, uses: readonly (Promise<void> | undefined)[]): void {
    Promise.all(uses)
      .then(
        () => this.#free.push(buffer as SharedArrayBuffer),
        (cause: unknown) => {
          this.#failure ??= { cause };
        },
      )
      .finally(() => this.#wake());
  }
}
