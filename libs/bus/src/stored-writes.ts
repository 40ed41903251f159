import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode, type NatsConnection, NatsError } from 'nats';
import { limits } from './limits.ts';

/** What a server that is away, restarting, full, or not yet serving JetStream makes of a request. */
const PASSING: readonly string[] = [
  ErrorCode.Timeout,
  ErrorCode.NoResponders,
  ErrorCode.Disconnect,
  ErrorCode.JetStreamNotEnabled,
  '503',
];

/** Whether the same may well succeed later. */
export function isPassing(error: unknown): boolean {
  return error instanceof NatsError && PASSING.includes(error.code);
}

/** What one process writes to the bus and has to have stored: state that was reached cannot be un-reached because the bus was away. */
export class StoredWrites {
  readonly #connection: NatsConnection;
  /** What rejects those that are on their way. */
  readonly #onWay = new Set<(error: Error) => void>();
  /** Pending while the connection is lost. */
  #back: PromiseWithResolvers<void> | undefined;
  /** Those that were refused at least once, and since when. */
  readonly #waiting = new Map<object, number>();
  /** Sent again since the start. */
  retries = 0;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Repeats `store`, a write, or what a watch begins with, until the server has acknowledged it. Fails when the connection is closed for good or the server refuses. */
  async until<T>(store: () => Promise<T>): Promise<T> {
    const write = {};
    try {
      for (;;) {
        try {
          await this.#back?.promise;
          return await this.#unlessLost(store());
        } catch (error) {
          if (!isPassing(error) || this.#connection.isClosed() || this.#connection.isDraining()) throw error;
          this.retries += 1;
          this.refused(write);
          await sleep(limits.storeRetryMs);
        }
      }
    } finally {
      this.settled(write);
    }
  }

  /** Of a write that somebody else repeats: the server did not store it. */
  refused(write: object): void {
    if (!this.#waiting.has(write)) this.#waiting.set(write, performance.now());
  }

  /** It is stored, or nobody wants it any more. */
  settled(write: object): void {
    this.#waiting.delete(write);
  }

  /** How long the server has been there without storing what it was given. */
  get stalledMs(): number {
    return this.#waiting.size === 0 ? 0 : performance.now() - Math.min(...this.#waiting.values());
  }

  /** No answer comes any more to what was asked; what is asked now would wait for one in vain, too. */
  disconnected(): void {
    this.#back ??= Promise.withResolvers();
    for (const reject of this.#onWay) reject(NatsError.errorForCode(ErrorCode.Disconnect));
  }

  /** Also when the connection is closed for good: whoever waits finds that out. */
  reconnected(): void {
    this.#back?.resolve();
    this.#back = undefined;
    this.#countAnew();
  }

  /** The server was away: what it did not store meanwhile says nothing against it. */
  #countAnew(): void {
    for (const write of this.#waiting.keys()) this.#waiting.set(write, performance.now());
  }

  async #unlessLost<T>(stored: Promise<T>): Promise<T> {
    const lost = Promise.withResolvers<never>();
    this.#onWay.add(lost.reject);
    try {
      return await Promise.race([stored, lost.promise]);
    } finally {
      this.#onWay.delete(lost.reject);
    }
  }
}
