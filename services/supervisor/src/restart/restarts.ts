import type { Bus, EnclaveRecord, PlannedRestart } from '@enclaver/bus';
import type { Logger } from 'pino';

/** An enclave that has ended, with what follows it. */
export type Ended = EnclaveRecord & { next: PlannedRestart };

export function hasNext(record: EnclaveRecord): record is Ended {
  return record.next !== undefined;
}

export interface RestartsOptions {
  bus: Bus;
  logger: Logger;
  /** Starts the successor: it is known at once, and on the bus when this resolves. */
  start: (ended: Ended) => Promise<void>;
}

/** The restarts that are still to come. They stand in the records, too, so that a later supervisor goes on with them. */
export class Restarts {
  readonly #options: RestartsOptions;
  readonly #pending = new Map<string, { ended: Ended; timer: NodeJS.Timeout }>();

  constructor(options: RestartsOptions) {
    this.#options = options;
  }

  get records(): Ended[] {
    return [...this.#pending.values()].map(({ ended }) => ended);
  }

  has(id: string): boolean {
    return this.#pending.has(id);
  }

  schedule(ended: Ended): void {
    const timer = setTimeout(() => void this.#start(ended), ended.next.afterMs);
    this.#pending.set(ended.id, { ended, timer });
  }

  /** Takes up what an earlier supervisor had planned: the whole pause anew, since how much of it has passed only a clock knows. */
  async takeUp(ended: Ended, known: readonly EnclaveRecord[]): Promise<void> {
    if (known.some(({ id }) => id === ended.next.id)) await this.#forget(ended);
    else this.schedule(ended);
  }

  /** Somebody wants no restart. The record as it is then; undefined where none was to come. */
  async cancel(id: string): Promise<EnclaveRecord | undefined> {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    const record = await this.#forget(pending.ended);
    await this.#options.bus.publishEvent(id, 'restart-cancelled', { restart: pending.ended.next });
    return record;
  }

  /** Leaves them to the next supervisor. */
  close(): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }

  async #start(ended: Ended): Promise<void> {
    const { logger, start } = this.#options;
    logger.info({ enclave: ended.id, next: ended.next }, 'enclave is started again');
    this.#pending.delete(ended.id);
    await start(ended);
    await this.#forget(ended);
  }

  async #forget({ next: _, ...record }: Ended): Promise<EnclaveRecord> {
    await this.#options.bus.enclaves.put(record);
    return record;
  }
}
