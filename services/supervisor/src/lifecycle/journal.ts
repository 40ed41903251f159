import type { Bus, EnclaveEventData, EnclaveEventName, EnclaveRecord } from '@enclaver/bus';
import type { Logger } from 'pino';

/** Writes one enclave's states and events to the bus in their order, however long that takes. */
export class Journal {
  readonly #bus: Bus;
  readonly #logger: Logger;
  #last: Promise<void> = Promise.resolve();

  constructor(bus: Bus, logger: Logger) {
    this.#bus = bus;
    this.#logger = logger;
  }

  /** Takes a state, and the event that tells of it. An enclave makes no more of them than its callers wait for. */
  write(record: EnclaveRecord): void;
  write<N extends EnclaveEventName>(record: EnclaveRecord, event: N, data: EnclaveEventData<N>): void;
  write<N extends EnclaveEventName>(record: EnclaveRecord, event?: N, data?: EnclaveEventData<N>): void {
    this.#last = this.#last
      .then(async () => {
        await this.#bus.enclaves.put(record);
        if (event !== undefined && data !== undefined) await this.#bus.publishEvent(record.id, event, data);
      })
      .catch((error: unknown) => {
        // The bus is closed for good, and this process about to end with it
        this.#logger.error({ err: error, event }, 'not written to the bus');
      });
  }

  /** Resolves once all that was taken so far is stored. */
  written(): Promise<void> {
    return this.#last;
  }
}
