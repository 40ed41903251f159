import { setTimeout as sleep } from 'node:timers/promises';
import { type Bus, type EnclaveRecord, hasEnded, type Warning } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';
import type { Logger } from 'pino';
import { limits } from '../limits.ts';
import { enclaveMetrics } from './enclave-metrics.ts';
import { enclaveWarnings } from './enclave-warnings.ts';
import { emulationWarnings, storageWarnings } from './host-warnings.ts';
import { traceStart } from './start-spans.ts';

export interface WatchOptions {
  bus: Bus;
  metrics: Metrics;
  logger: Logger;
}

/**
 * Looks at the enclaves of this host as everybody can, through their records and events on the bus, and makes metrics, warnings
 * and traces of what it sees. The lifecycle knows nothing of it.
 */
export class EnclaveWatch {
  readonly #options: WatchOptions;
  readonly #metrics: ReturnType<typeof enclaveMetrics>;
  readonly #records = new Map<string, EnclaveRecord>();
  readonly #events: ReturnType<Bus['events']>;
  readonly #over = new AbortController();

  private constructor(options: WatchOptions) {
    this.#options = options;
    this.#metrics = enclaveMetrics(options.metrics);
    this.#events = options.bus.events();
    options.metrics.onCollect(() => this.#metrics.show([...this.#records.values()]));
  }

  static start(options: WatchOptions): EnclaveWatch {
    const watch = new EnclaveWatch(options);
    for (const part of [watch.#followRecords(), watch.#followEvents(), watch.#lookAtStorage()]) {
      // Who watches may fail without those who work
      part.catch((error: unknown) => options.logger.error({ err: error }, 'enclaves are watched no more'));
    }
    return watch;
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#events.close();
  }

  async #followRecords(): Promise<void> {
    for await (const { id, record } of this.#options.bus.enclaves.watch()) {
      if (this.#over.signal.aborted) return;
      const before = this.#records.get(id);
      if (record === undefined) this.#records.delete(id);
      else {
        this.#records.set(id, record);
        this.#metrics.onChange(before, record);
      }
      const about = record ?? before;
      if (about === undefined) continue;
      const gone = record === undefined;
      this.#tell(enclaveWarnings(about).map(({ isSo, warning }) => ({ isSo: isSo && !gone, warning })));
      const emulated = [...this.#records.values()].some(({ backend, state }) => backend === 'qemu' && !hasEnded(state));
      this.#tell(emulationWarnings(emulated, emulated ? (await import('@enclaver/machine')).accelerator() : undefined));
    }
  }

  async #followEvents(): Promise<void> {
    for await (const { id, name, traceparent } of this.#events) {
      if (name !== 'ready' || traceparent === undefined) continue;
      const record = await this.#options.bus.enclaves.get(id).catch((error: unknown) => {
        this.#options.logger.warn({ err: error, enclave: id }, 'the bus did not tell of a start; it is in no trace');
      });
      if (record === undefined) continue;
      // Ready again after a bad health check is no start
      if (record.times.unhealthy === undefined) traceStart(record, traceparent);
    }
  }

  async #lookAtStorage(): Promise<void> {
    const { bus, logger } = this.#options;
    while (!this.#over.signal.aborted) {
      if (bus.isConnected) {
        await bus.storageUse().then(
          (use) => this.#tell(storageWarnings(use)),
          // The bus is away, or about to be: the next look tells
          (error: unknown) => logger.debug({ err: error }, 'the use of the bus was not learned'),
        );
      }
      await sleep(limits.storageLookMs, undefined, { signal: this.#over.signal, ref: false }).catch(() => undefined);
    }
  }

  #tell(warnings: readonly { isSo: boolean; warning: Warning }[]): void {
    for (const { isSo, warning } of warnings) this.#options.bus.warnings.set(isSo, warning);
  }
}
