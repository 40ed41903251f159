import { BuilderError } from './builder-error.ts';

/** Runs a bounded number of tasks at once and lets a bounded number wait. */
export class WorkQueue {
  readonly #running: number;
  readonly #waitingMost: number;
  readonly #active = new Set<Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(bounds: { running: number; waiting: number }) {
    this.#running = bounds.running;
    this.#waitingMost = bounds.waiting;
  }

  /**
   * Resolves or rejects as the task does. Throws BUILDER_BUSY when too many wait or the queue is closed, and the signal's
   * reason when it is aborted before the task's turn.
   */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closed || (this.#active.size >= this.#running && this.#waiting.length >= this.#waitingMost)) throw busy();
    while (this.#active.size >= this.#running) {
      await this.#turn(signal);
      if (this.#closed) throw busy();
    }
    const running = task();
    this.#active.add(running);
    try {
      return await running;
    } finally {
      this.#active.delete(running);
      this.#waiting.shift()?.();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve: wake } = Promise.withResolvers<void>();
    this.#waiting.push(wake);
    signal?.addEventListener('abort', () => wake(), { once: true });
    await promise;
    if (signal?.aborted !== true) return;
    const place = this.#waiting.indexOf(wake);
    if (place !== -1) this.#waiting.splice(place, 1);
    // The turn had come at the same moment: it goes to the next
    else this.#waiting.shift()?.();
    throw signal.reason;
  }

  /** Refuses what waits and what comes; resolves when all that runs has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.allSettled(this.#active);
  }
}

function busy(): BuilderError {
  return new BuilderError('BUILDER_BUSY', 'the builder has as many builds waiting as it takes, or is stopping', {
    remedy: 'try again when others have ended, or start another builder',
  });
}
