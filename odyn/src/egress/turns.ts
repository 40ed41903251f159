/** Bounds how many do something at a time; others wait, first come, first served. */
export class Turns {
  readonly #waiting = new Set<() => void>();
  readonly #most: number;
  #free: number;

  constructor(most: number) {
    this.#most = most;
    this.#free = most;
  }

  get isIdle(): boolean {
    return this.#free === this.#most;
  }

  /** Settles with what ends the turn. @throws the signal's reason */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = (): void => {
        leave();
        resolve();
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason);
      };
      const leave = (): void => {
        this.#waiting.delete(start);
        signal.removeEventListener('abort', onAbort);
      };
      if (signal.aborted) return reject(signal.reason);
      this.#waiting.add(start);
      signal.addEventListener('abort', onAbort);
    });
  }
}
