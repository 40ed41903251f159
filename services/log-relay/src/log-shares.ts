import type { LogStore } from '@enclaver/bus';
import type { Logger } from 'pino';
import { limits } from './limits.ts';
import type { LogMetrics } from './log-metrics.ts';

/** Messages of one enclave that lie near each other on the bus. */
interface Stretch {
  readonly name: string;
  readonly id: string;
  readonly positions: number[];
  bytes: number;
}

/**
 * Holds each enclave to its share of what the bus keeps of logs, so that one that floods pushes out its own history and
 * nobody else's. The share is that of a name: an enclave that is started over and over has one for all its lives.
 */
export class LogShares {
  readonly #store: LogStore;
  readonly #logger: Logger;
  readonly #metrics: LogMetrics;
  #capacity = Number.POSITIVE_INFINITY;
  /** In the order in which they begin. */
  #stretches: Stretch[] = [];
  readonly #newest = new Map<string, Stretch>();
  readonly #bytes = new Map<string, number>();
  #total = 0;
  /** What is to be dropped still: what could not be stays for the next time. */
  readonly #doomed: number[] = [];
  #dropping = Promise.resolve();

  constructor(store: LogStore, logger: Logger, metrics: LogMetrics) {
    this.#store = store;
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** Finds out what is there; `names` are the names of the enclaves that are known. */
  async start(names: ReadonlyMap<string, string>): Promise<void> {
    this.#capacity = (await this.#store.end()).capacity;
    for await (const { id, position, bytes } of this.#store.sizes())
      this.#add(names.get(id) ?? id, id, position, bytes);
  }

  /** A message is on the bus. `names` is how many enclaves write now: all have the same share, and what is over has one, too. */
  published(name: string, id: string, message: { position: number; bytes: number }, names: number): void {
    this.#add(name, id, message.position, message.bytes);
    const share = this.#capacity / (names + 1);
    if ((this.#bytes.get(name) ?? 0) > share) this.#cut(name, share * limits.shareKept);
  }

  /** Resolves when all that was too much has been dropped. */
  async close(): Promise<void> {
    await this.#dropping;
  }

  #add(name: string, id: string, position: number, bytes: number): void {
    const size = bytes + limits.messageOverheadBytes;
    let stretch = this.#newest.get(name);
    if (stretch === undefined || stretch.id !== id || stretch.bytes >= limits.stretchBytes) {
      stretch = { name, id, positions: [], bytes: 0 };
      this.#stretches.push(stretch);
      this.#newest.set(name, stretch);
    }
    stretch.positions.push(position);
    stretch.bytes += size;
    this.#bytes.set(name, (this.#bytes.get(name) ?? 0) + size);
    this.#total += size;
    // The bus has dropped its oldest by itself
    while (this.#total > this.#capacity && this.#stretches[0] !== undefined) this.#forget(this.#stretches[0]);
  }

  #cut(name: string, keep: number): void {
    let bytes = 0;
    for (const stretch of this.#stretches.filter((each) => each.name === name)) {
      if ((this.#bytes.get(name) ?? 0) <= keep || stretch === this.#newest.get(name)) break;
      bytes += stretch.bytes;
      this.#forget(stretch);
      this.#doomed.push(...stretch.positions);
    }
    if (bytes === 0) return;
    // Where none can be dropped for long
    this.#doomed.splice(0, this.#doomed.length - limits.doomedMessages);
    this.#dropping = this.#dropping
      .then(() => this.#drop())
      .catch((error: unknown) => {
        // The bus drops its oldest, then, whosever they are
        this.#logger.warn({ name, err: error }, 'too much log, and it could not be dropped');
      });
    this.#metrics.dropped(name, bytes);
    this.#logger.info({ name, bytes }, 'more log than the share of one enclave: its oldest lines are dropped');
  }

  async #drop(): Promise<void> {
    for (let next = this.#doomed.shift(); next !== undefined; next = this.#doomed.shift()) {
      try {
        await this.#store.drop(next);
      } catch (error) {
        this.#doomed.unshift(next);
        throw error;
      }
    }
  }

  #forget(stretch: Stretch): void {
    this.#stretches = this.#stretches.filter((each) => each !== stretch);
    this.#total -= stretch.bytes;
    const left = (this.#bytes.get(stretch.name) ?? 0) - stretch.bytes;
    if (left > 0) this.#bytes.set(stretch.name, left);
    else this.#bytes.delete(stretch.name);
    if (this.#newest.get(stretch.name) === stretch) this.#newest.delete(stretch.name);
  }
}
