import type { Bus, LogMessage } from '@enclaver/bus';
import type { Logger } from 'pino';
import type { LogMetrics } from '../log-metrics.ts';
import { RecentLog } from './recent-log.ts';
import type { Sink } from './sink.ts';
import { SinkRunner } from './sink-runner.ts';
import type { SinkSpec } from './sink-spec.ts';

/** All sinks of this process. */
export class LogSinks {
  readonly #bus: Bus;
  readonly #metrics: LogMetrics;
  readonly #runners = new Map<string, SinkRunner>();
  readonly #recent = new RecentLog();

  private constructor(bus: Bus, metrics: LogMetrics) {
    this.#bus = bus;
    this.#metrics = metrics;
  }

  static async start(bus: Bus, specs: readonly SinkSpec[], logger: Logger, metrics: LogMetrics): Promise<LogSinks> {
    const sinks = new LogSinks(bus, metrics);
    const end = await bus.logStore.end();
    for (const spec of specs) {
      const sink = await openSink(spec, end.created);
      const onChange = (): void => sinks.#warn();
      const runner = new SinkRunner(bus, spec, sink, { logger, metrics, recent: sinks.#recent, onChange });
      sinks.#runners.set(spec.label, runner);
      await runner.start(end);
    }
    return sinks;
  }

  /** This process has put a message on the bus, which takes so many bytes there. */
  published(message: LogMessage, bytes: number): void {
    if (this.#runners.size === 0) return;
    this.#recent.add(message, bytes);
    for (const runner of this.#runners.values()) runner.wake();
  }

  /** Somebody may have moved files. */
  reopen(): void {
    for (const runner of this.#runners.values()) runner.reopen();
  }

  /** Sets the gauges of the sinks that are served here; `newest` is the position of the newest message known. */
  collect(newest: number): void {
    // One that another log-relay has taken over has none any more
    for (const gauge of [this.#metrics.sinkUp, this.#metrics.sinkBehind]) gauge.clear();
    for (const [sink, { failure, position, isLead }] of this.#runners) {
      if (!isLead) continue;
      this.#metrics.sinkUp.set({ sink }, failure === undefined ? 1 : 0);
      this.#metrics.sinkBehind.set({ sink }, Math.max(0, newest - position));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#runners.values()].map((runner) => runner.close()));
  }

  #warn(): void {
    const failures = [...this.#runners].filter(([, { failure }]) => failure !== undefined);
    this.#bus.warnings.set(failures.length > 0, {
      code: 'LOG_SINK_FAILED',
      severity: 'warning',
      message: failures.map(([label, { failure }]) => `log sink ${label}: ${failure}`).join('; '),
      remedy: 'mend what the message names; the sink is tried again, and gets what the bus still has',
    });
  }
}

/** Each kind is loaded when it is used: a log-relay without sinks stays small. */
async function openSink({ target }: SinkSpec, created: string): Promise<Sink> {
  switch (target.kind) {
    case 'stdout':
      return await (await import('./stdout-sink.ts')).StdoutSink.open(target.format);
    case 'file': {
      const { FileSink } = await import('./file-sink.ts');
      return new FileSink(target.folder, target.format, target, created);
    }
    case 'syslog': {
      const { SyslogSink } = await import('./syslog-sink.ts');
      return await SyslogSink.open(target);
    }
    case 'journald': {
      const { JournaldSink } = await import('./journald-sink.ts');
      return new JournaldSink(target.path);
    }
    case 'otlp': {
      const { OtlpSink } = await import('./otlp-sink.ts');
      return new OtlpSink(target.url);
    }
  }
}
