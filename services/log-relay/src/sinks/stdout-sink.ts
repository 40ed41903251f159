import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { type EntryFormat, formatEntries } from './entry-text.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';

type Write = (bytes: Buffer) => Promise<void>;

/** Lines on stdout, for `docker compose logs` and the like. */
export class StdoutSink implements Sink {
  readonly #format: EntryFormat;
  readonly #write: Write;

  constructor(format: EntryFormat, write: Write) {
    this.#format = format;
    this.#write = write;
  }

  /** On this process's stdout. */
  static async open(format: EntryFormat): Promise<StdoutSink> {
    const stat = fstatSync(1);
    if (stat.isFile()) {
      // No stream: that ends with the first write that fails, and a full disk has room again some day
      const file = await open('/dev/fd/1', 'a');
      return new StdoutSink(format, (bytes) => file.appendFile(bytes));
    }
    // `process.stdout` blocks on a pipe that nobody reads, and the whole process with it
    const isPipe = stat.isFIFO() || stat.isSocket();
    return new StdoutSink(format, streamed(isPipe ? new Socket({ fd: 1, readable: false }) : process.stdout));
  }

  async write(groups: readonly EntryGroup[]): Promise<number> {
    const entries = groups.flatMap((group) => group.entries);
    try {
      await this.#write(formatEntries(entries, this.#format));
    } catch (cause) {
      throw new SinkError(`stdout cannot be written: ${(cause as Error).message}`, { cause });
    }
    return 0;
  }

  async close(): Promise<void> {
    // What is not on its way yet is written again by the next log-relay
  }
}

function streamed(out: Writable): Write {
  // A reader that is gone is told by each write
  out.on('error', () => undefined);
  return (bytes) =>
    new Promise((resolve, reject) => {
      out.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
}
