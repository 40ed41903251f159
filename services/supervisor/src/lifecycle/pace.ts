export interface PaceOptions<T> {
  /** So many at once, and after that one in so many milliseconds. */
  atOnce: number;
  everyMs: number;
  /** True when the value has changed something: others cost nothing. */
  take: (value: T) => boolean;
}

/** Passes on what changes at a bounded pace. Of what comes too fast the last waits, and always has its turn. */
export class Pace<T> {
  readonly #options: PaceOptions<T>;
  #left: number;
  #since = performance.now();
  #waiting: { value: T; timer: NodeJS.Timeout } | undefined;

  constructor(options: PaceOptions<T>) {
    this.#options = options;
    this.#left = options.atOnce;
  }

  offer(value: T): void {
    if (this.#waiting !== undefined) {
      this.#waiting.value = value;
      return;
    }
    const waitMs = this.#refill();
    if (this.#left === 0) this.#waiting = { value, timer: setTimeout(() => this.#next(), waitMs) };
    else if (this.#options.take(value)) this.#left -= 1;
  }

  /** Nothing is passed on any more of what waits. */
  close(): void {
    clearTimeout(this.#waiting?.timer);
    this.#waiting = undefined;
  }

  #next(): void {
    const waited = this.#waiting;
    this.#waiting = undefined;
    if (waited !== undefined) this.offer(waited.value);
  }

  /** The milliseconds until there is one more. */
  #refill(): number {
    const { atOnce, everyMs } = this.#options;
    const turns = Math.floor((performance.now() - this.#since) / everyMs);
    this.#left = Math.min(atOnce, this.#left + turns);
    this.#since += turns * everyMs;
    return this.#since + everyMs - performance.now();
  }
}
