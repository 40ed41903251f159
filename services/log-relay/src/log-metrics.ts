import type { LogBatch, LogEntry } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';
import type { EntryGroup } from './sinks/sink.ts';

/** What the log-relay counts: what it read from enclaves, and what each sink took. */
export class LogMetrics {
  readonly #lines;
  readonly #bytes;
  readonly #lost;
  readonly #dropped;
  readonly #sinkLines;
  readonly #sinkBytes;
  readonly #sinkLost;
  readonly #sinkRefused;
  /** Set when somebody asks. */
  readonly sinkBehind;
  readonly sinkUp;

  constructor(metrics: Metrics) {
    const enclave = ['enclave', 'stream'] as const;
    const sink = ['sink', 'enclave'] as const;
    this.#lines = metrics.counter({
      name: 'enclaver_log_lines_total',
      help: 'Lines stored on the bus; a long line counts once for each of its parts.',
      labels: enclave,
    });
    this.#bytes = metrics.counter({
      name: 'enclaver_log_bytes_total',
      help: 'Bytes of the text of those lines.',
      labels: enclave,
    });
    this.#lost = metrics.counter({
      name: 'enclaver_log_lost_total',
      help: 'Lines that the enclave had dropped before they were read.',
      labels: ['enclave'],
    });
    this.#dropped = metrics.counter({
      name: 'enclaver_log_dropped_bytes_total',
      help: 'Bytes of older lines dropped from the bus because the enclave had more there than its share.',
      labels: ['enclave'],
    });
    this.#sinkLines = metrics.counter({
      name: 'enclaver_log_sink_lines_total',
      help: 'Lines that the sink has taken.',
      labels: sink,
    });
    this.#sinkBytes = metrics.counter({
      name: 'enclaver_log_sink_bytes_total',
      help: 'Bytes of the text of those lines.',
      labels: sink,
    });
    this.#sinkLost = metrics.counter({
      name: 'enclaver_log_sink_lost_total',
      help: 'Lines that the bus had dropped before the sink took them.',
      labels: sink,
    });
    this.#sinkRefused = metrics.counter({
      name: 'enclaver_log_sink_refused_total',
      help: 'Lines that the sink refused for good.',
      labels: ['sink'],
    });
    this.sinkBehind = metrics.gauge({
      name: 'enclaver_log_sink_behind_messages',
      help: 'Messages on the bus that the sink does not have yet, at most.',
      labels: ['sink'],
    });
    this.sinkUp = metrics.gauge({
      name: 'enclaver_log_sink_up',
      help: '1 while the sink takes lines, 0 while it does not.',
      labels: ['sink'],
    });
  }

  published(enclave: string, { lines, lost = 0 }: Pick<LogBatch, 'lines' | 'lost'>): void {
    const sums = new Map<string, { lines: number; bytes: number }>();
    for (const { stream = 'console', text } of lines) {
      const sum = sums.get(stream) ?? { lines: 0, bytes: 0 };
      sums.set(stream, sum);
      sum.lines += 1;
      sum.bytes += Buffer.byteLength(text);
    }
    for (const [stream, sum] of sums) {
      this.#lines.add({ enclave, stream }, sum.lines);
      this.#bytes.add({ enclave, stream }, sum.bytes);
    }
    if (lost > 0) this.#lost.add({ enclave }, lost);
  }

  dropped(enclave: string, bytes: number): void {
    this.#dropped.add({ enclave }, bytes);
  }

  sinkTook(sink: string, groups: readonly EntryGroup[], refused: number): void {
    for (const { entries } of groups) {
      const lines = entries.filter((entry) => entry.lost === undefined);
      const [first] = lines;
      if (first === undefined) continue;
      this.#sinkLines.add({ sink, enclave: first.name }, lines.length);
      this.#sinkBytes.add({ sink, enclave: first.name }, sizeOf(lines));
    }
    if (refused > 0) this.#sinkRefused.add({ sink }, refused);
  }

  sinkLost(sink: string, enclave: string, lines: number): void {
    this.#sinkLost.add({ sink, enclave }, lines);
  }
}

function sizeOf(lines: readonly LogEntry[]): number {
  return lines.reduce((sum, { text = '', encoding }) => sum + Buffer.byteLength(text, encoding ?? 'utf8'), 0);
}
