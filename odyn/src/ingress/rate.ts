import type { RateLimit } from '@enclaver/manifest';

/**
 * New connections of a port that JavaScript accepts: `burst` at once after a quiet time, so many per second in the long
 * run. A token bucket as one number, the time at which what was taken is paid for: as in the relay, for the other ports.
 */
export class Rate {
  readonly #intervalMs: number;
  readonly #aheadMs: number;
  #due = 0;

  constructor({ connectionsPerSecond, burst }: RateLimit) {
    this.#intervalMs = 1000 / connectionsPerSecond;
    this.#aheadMs = (burst - 1) * this.#intervalMs;
  }

  take(now = performance.now()): boolean {
    const from = Math.max(this.#due, now);
    if (from - now > this.#aheadMs) return false;
    this.#due = from + this.#intervalMs;
    return true;
  }
}
