import type { Bus, LogMessage, LogStreamName } from '@enclaver/bus';
import { limits } from '../limits.ts';

export interface LogPrinterOptions {
  /** Show the console and odyn's own lines, too. */
  debug: boolean;
}

/** Prints an enclave's log as the app wrote it: stdout to stdout, everything else to stderr. */
export class LogPrinter {
  readonly #options: LogPrinterOptions;
  readonly #watch: ReturnType<Bus['logs']>;
  #lines = 0;
  #waiting: { lines: number; resolve: () => void } | undefined;
  ended = false;

  constructor(bus: Bus, id: string, options: LogPrinterOptions, follow = true) {
    this.#options = options;
    this.#watch = bus.logs({ id, follow });
  }

  /** Prints until the watch ends. */
  async follow(): Promise<void> {
    for await (const message of this.#watch) {
      this.#print(message);
      this.#lines += message.lines.length;
      if (this.#waiting !== undefined && this.#lines >= this.#waiting.lines) this.#waiting.resolve();
    }
    this.#waiting?.resolve();
  }

  /** Resolves once that many lines of all streams have been printed, or none came for a while that should have. */
  async until(lines: number): Promise<void> {
    this.ended = true;
    if (this.#lines >= lines) return;
    await new Promise<void>((resolve) => {
      this.#waiting = { lines, resolve };
      setTimeout(resolve, limits.logEndMs).unref();
    });
    if (this.#lines < lines) process.stderr.write(`[${lines - this.#lines} log lines did not arrive]\n`);
  }

  async close(): Promise<void> {
    await this.#watch.close();
  }

  #print(message: LogMessage): void {
    if (message.lost !== undefined) process.stderr.write(`[${message.lost} log records lost]\n`);
    if (!this.#isShown(message.stream)) return;
    const out = message.stream === 'stdout' ? process.stdout : process.stderr;
    for (const line of message.lines) {
      const bytes = Buffer.from(line.text, line.encoding === 'base64' ? 'base64' : 'utf8');
      const prefix = message.stream === 'odyn' || message.stream === 'console' ? `${message.stream}: ` : '';
      out.write(prefix);
      out.write(bytes);
      if (line.continues !== true) out.write('\n');
    }
  }

  #isShown(stream: LogStreamName): boolean {
    return this.#options.debug || stream === 'stdout' || stream === 'stderr';
  }
}
