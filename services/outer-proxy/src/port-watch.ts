import type { Bus } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';
import type { EnclavePorts } from './enclave-ports.ts';
import { limits } from './limits.ts';
import { type ProxyCounts, proxyMetrics } from './metrics.ts';

/** Makes metrics and a warning of what the listeners count. */
export class PortWatch {
  readonly #bus: Bus;
  readonly #metrics: ReturnType<typeof proxyMetrics>;
  readonly #open = new Map<EnclavePorts, ProxyCounts | undefined>();
  readonly #timer: NodeJS.Timeout;
  #acceptErrorAt = Number.NEGATIVE_INFINITY;

  constructor(bus: Bus, metrics: Metrics) {
    this.#bus = bus;
    this.#metrics = proxyMetrics(metrics);
    metrics.onCollect(() => this.#lookAtAll());
    this.#timer = setInterval(() => this.#lookAtAll(), limits.countMs).unref();
  }

  opened(ports: EnclavePorts): void {
    this.#open.set(ports, undefined);
  }

  /** Once they are closed: what they counted last is not lost. */
  closed(ports: EnclavePorts): void {
    this.#look(ports);
    this.#open.delete(ports);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #lookAtAll(): void {
    const all = [...this.#open.keys()].map((ports) => ({ enclave: ports.record.name, counts: this.#look(ports) }));
    this.#metrics.showOpen(all);
    this.#bus.warnings.set(performance.now() - this.#acceptErrorAt < limits.acceptWarningMs, {
      code: 'ACCEPT_ERRORS',
      severity: 'error',
      message: 'connections wait, since the outer-proxy has no file descriptors or memory left for more',
      remedy: 'raise its limit of open files (LimitNOFILE, ulimits), or bound the connections of each enclave',
    });
  }

  #look(ports: EnclavePorts): ProxyCounts {
    const before = this.#open.get(ports);
    const now = ports.counts();
    this.#metrics.add(ports.record.name, before, now);
    if (now.acceptErrors > (before?.acceptErrors ?? 0)) this.#acceptErrorAt = performance.now();
    this.#open.set(ports, now);
    return now;
  }
}
