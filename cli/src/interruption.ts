import { exitCodes } from './exit-codes.ts';

/** First SIGINT or SIGTERM: a graceful stop. Second: out, and the private stack goes with us. */
export class Interruption {
  seen = false;
  #first: (() => void) | undefined;
  readonly #listener = () => {
    if (this.seen) process.exit(exitCodes.interrupted);
    this.seen = true;
    this.#first?.();
  };

  constructor() {
    process.on('SIGINT', this.#listener).on('SIGTERM', this.#listener);
  }

  onFirst(action: () => void): void {
    this.#first = action;
    if (this.seen) action();
  }

  close(): void {
    process.off('SIGINT', this.#listener).off('SIGTERM', this.#listener);
  }
}
