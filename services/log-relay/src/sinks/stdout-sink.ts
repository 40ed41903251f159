import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { type EntryFormat, formatEntries } from './entry-text.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';

/** Lines on stdout, for `docker compose logs` and the like. */
export class StdoutSink implements Sink {
  readonly #format: EntryFormat;
  readonly #out: Writable;

  constructor(format: EntryFormat, out: Writable) {
    this.#format = format;
    this.#out = out;
    // A reader that is gone is told by each write
    out.on('error', () => undefined);
  }

  /** On this process's stdout. */
  static async open(format: EntryFormat): Promise<StdoutSink> {
    const stat = fstatSync(1);
    // `process.stdout` blocks on a pipe that nobody reads, and the whole process with it
    if (stat.isFIFO() || stat.isSocket()) return new StdoutSink(format, new Socket({ fd: 1, readable: false }));
    if (stat.isFile()) return new StdoutSink(format, (await open('/dev/fd/1', 'a')).createWriteStream());
    return new StdoutSink(format, process.stdout);
  }

  async write(groups: readonly EntryGroup[]): Promise<number> {
    const written = Promise.withResolvers<void>();
    this.#out.write(
      formatEntries(
        groups.flatMap(({ entries }) => entries),
        this.#format,
      ),
      (error) => {
        if (error === null || error === undefined) written.resolve();
        else written.reject(new SinkError(`stdout cannot be written: ${error.message}`, { cause: error }));
      },
    );
    await written.promise;
    return 0;
  }

  async close(): Promise<void> {
    // What is not on its way yet is written again by the next log-relay
  }
}
