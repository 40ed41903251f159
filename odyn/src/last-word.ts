import type { Duplex } from 'node:stream';

/**
 * Knows when the last word (final status, end of the log) has reached its readers. Bytes that were only written may
 * still lie in this machine, which is about to be powered off; a reader that has them closes its connection. One that
 * does not is waited for `lingerMs`.
 */
export class LastWord {
  readonly #lingerMs: number;
  readonly #pending = new Set<Duplex>();
  readonly #done = Promise.withResolvers<void>();
  #had = false;

  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs;
  }

  /** Settled once a reader has had the last word and no other is about to. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Sends it to one reader, which is closed afterwards. */
  send(stream: Duplex, bytes: Buffer): void {
    this.#pending.add(stream);
    let written = false;
    let linger: NodeJS.Timeout | undefined;
    stream.once('close', () => {
      clearTimeout(linger);
      this.#had ||= written;
      this.#pending.delete(stream);
      if (this.#had && this.#pending.size === 0) this.#done.resolve();
    });
    stream.write(bytes, (error) => {
      if (error) return;
      written = true;
      linger = setTimeout(() => stream.destroy(), this.#lingerMs);
    });
  }
}
