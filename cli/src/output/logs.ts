import {
  type Bus,
  type LogMessage,
  type LogQuery,
  type LogStreamName,
  logBytes,
  logEntries,
  type StreamLine,
} from '@enclaver/bus';
import { limits } from '../limits.ts';
import { writeStdout } from './stdout.ts';

/** What an app writes; odyn and the console are for those who look for a fault. */
export const appStreams: readonly LogStreamName[] = ['stdout', 'stderr'];

export type LogFormat = 'text' | 'json';

/** Prints an enclave's log: as text stdout to stdout as the app wrote it, everything else to stderr; as JSON an object a line. */
export class LogPrinter {
  readonly #watch: ReturnType<Bus['logs']>;
  readonly #format: LogFormat;
  readonly #printed = Promise.withResolvers<void>();
  ended = false;
  #silence: NodeJS.Timeout | undefined;
  #isPrinting = false;

  constructor(bus: Bus, query: LogQuery, format: LogFormat = 'text') {
    this.#watch = bus.logs(query);
    this.#format = format;
  }

  /** How many of the last lines asked for are kept; nothing is printed before `follow`. */
  async tailed(): Promise<number> {
    await this.#watch.ready;
    return this.#watch.tailed;
  }

  /** Prints until the watch ends. */
  async follow(): Promise<void> {
    try {
      for await (const message of this.#watch) {
        // Much may be kept, and who reads us be slow, or hold us up
        clearTimeout(this.#silence);
        this.#isPrinting = true;
        await this.#print(message);
        this.#isPrinting = false;
        if (this.ended) this.#boundSilence();
      }
    } finally {
      this.#printed.resolve();
    }
  }

  /** No line will come any more: resolves when those that are kept are printed, or nothing came for a while. */
  async finish(): Promise<void> {
    this.ended = true;
    if (!this.#isPrinting) this.#boundSilence();
    await this.#watch.finish();
    await this.#printed.promise;
    clearTimeout(this.#silence);
  }

  /** From now on the next message has its time to come. */
  #boundSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      process.stderr.write('[the last log lines did not arrive]\n');
      void this.close();
    }, limits.logEndMs);
  }

  async close(): Promise<void> {
    await this.#watch.close();
  }

  async #print(message: LogMessage): Promise<void> {
    if (this.#format === 'json') {
      const lines = logEntries(message).map((line) => `${JSON.stringify(line)}\n`);
      await writeStdout(lines.join(''));
      return;
    }
    if (message.lost !== undefined) process.stderr.write(`[${message.lost} log lines lost]\n`);
    for (const run of runsOf(message.lines)) {
      const [{ stream }] = run;
      const prefix = Buffer.from(stream === 'odyn' || stream === 'console' ? `${stream}: ` : '');
      const parts = run.flatMap((line) => [prefix, logBytes(line), Buffer.from(line.continues === true ? '' : '\n')]);
      if (stream === 'stdout') await writeStdout(Buffer.concat(parts));
      else process.stderr.write(Buffer.concat(parts));
    }
  }
}

/** Lines of one stream that follow each other: what is written at once. */
function runsOf(lines: readonly StreamLine[]): [StreamLine, ...StreamLine[]][] {
  const runs: [StreamLine, ...StreamLine[]][] = [];
  for (const line of lines) {
    const run = runs.at(-1);
    if (run !== undefined && run[0].stream === line.stream) run.push(line);
    else runs.push([line]);
  }
  return runs;
}
