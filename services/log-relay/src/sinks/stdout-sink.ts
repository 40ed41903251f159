import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import type { LogEntry } from '@enclaver/bus';
import { type EntryFormat, formatEntries } from './entry-text.ts';
import { allTaken, type Sink, type WriteResult } from './sink.ts';

/** Lines on stdout, for `docker compose logs` and the like. */
export class StdoutSink implements Sink {
  readonly #format: EntryFormat;
  readonly #out: Writable;

  constructor(format: EntryFormat, out: Writable) {
    this.#format = format;
    this.#out = out;
  }

  /** On this process's stdout. */
  static async open(format: EntryFormat): Promise<StdoutSink> {
    const stat = fstatSync(1);
    // `process.stdout` blocks on a pipe that nobody reads, and the whole process with it
    if (stat.isFIFO() || stat.isSocket()) return new StdoutSink(format, new Socket({ fd: 1, readable: false }));
    if (stat.isFile()) return new StdoutSink(format, (await open('/dev/fd/1', 'a')).createWriteStream());
    return new StdoutSink(format, process.stdout);
  }

  async write(entries: readonly LogEntry[]): Promise<WriteResult> {
    // A stdout that is gone ends the process, as it does any other
    if (!this.#out.write(formatEntries(entries, this.#format))) await once(this.#out, 'drain');
    return allTaken;
  }

  async close(): Promise<void> {
    // What is not on its way yet is written again by the next log-relay
  }
}
