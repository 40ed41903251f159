import type { Admission, RelayGroup, StreamGate } from '@enclaver/vsock';
import { limits } from '../limits.ts';

/**
 * What the requests of one enclave get of this thread, all its HTTP routes together, as its connections have their share of the
 * relay. Requests and the bytes of their connections take turns: so much, and what comes beyond that waits until everybody else
 * was served. A bound on bytes in a second makes it wait longer.
 */
export class Share implements StreamGate {
  readonly group: RelayGroup;
  readonly #bytesPerMs: number;
  readonly #burst: number;
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;
  #credit: number = limits.turnBytes;
  #tokens: number;
  #filledAt = performance.now();

  constructor(group: RelayGroup, bytesPerSecond = Number.POSITIVE_INFINITY) {
    this.group = group;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burst = Math.max(this.#bytesPerMs * limits.burstMs, limits.burstBytes);
    this.#tokens = this.#burst;
  }

  /** Whether something waits for its turn, which a bound on bytes in a second may make long. */
  get isHeld(): boolean {
    return this.#waiting.length > 0;
  }

  /** Counts a request in, until `leave`. */
  admit(): Admission {
    return this.group.admit();
  }

  leave(): void {
    this.group.leave();
  }

  enter(go: () => void): boolean {
    if (this.#waiting.length === 0 && this.#credit > 0 && this.#waitMs() === 0) return true;
    this.#waiting.push(go);
    this.#schedule();
    return false;
  }

  /** Resolves when it is this request's turn; undefined: at once. It counts beside its bytes. */
  turn(): Promise<void> | undefined {
    const { promise, resolve } = Promise.withResolvers<void>();
    const start = (): void => {
      this.#credit -= limits.turnCost;
      resolve();
    };
    if (!this.enter(start)) return promise;
    start();
    return undefined;
  }

  passed(received: number, sent: number): void {
    this.group.passed(sent, received);
    this.#credit -= received + sent;
    this.#tokens -= received + sent;
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    this.#credit = limits.turnBytes;
    while (this.#waiting.length > 0 && this.#credit > 0 && this.#waitMs() === 0) {
      this.#waiting.shift()?.();
    }
    if (this.#waiting.length > 0) this.#schedule();
  };

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const ms = this.#waitMs();
    if (ms === 0) setImmediate(this.#run);
    else setTimeout(this.#run, ms);
  }

  /** Milliseconds until bytes may pass; 0: now. */
  #waitMs(): number {
    if (this.#tokens > 0) return 0;
    const now = performance.now();
    this.#tokens = Math.min(this.#tokens + (now - this.#filledAt) * this.#bytesPerMs, this.#burst);
    this.#filledAt = now;
    return this.#tokens > 0 ? 0 : Math.ceil(-this.#tokens / this.#bytesPerMs) + 1;
  }
}
