import { setTimeout as sleep } from 'node:timers/promises';
import type { LogBatch, LogLine, LogStreamName } from '@enclaver/bus';
import { limits } from './limits.ts';

interface Entry {
  readonly stream: LogStreamName;
  /** A line, or the number of records that are missing here. */
  readonly content: LogLine | number;
}

export type Publish = (stream: LogStreamName, batch: LogBatch) => Promise<void>;

/**
 * Publishes the entries of one enclave in the order in which they came: one message for each run of lines of one stream.
 * One message is on its way at a time, so that a retry cannot overtake; lines gather meanwhile, and batches grow with the load.
 */
export class BatchPublisher {
  readonly #publish: Publish;
  #entries: Entry[] = [];
  #bytes = 0;
  #flushing: Promise<void> | undefined;
  #hurry = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();
  /** What has been published. */
  lines = 0;
  lost = 0;

  constructor(publish: Publish) {
    this.#publish = publish;
  }

  /** Takes a line, or a count of lost records. Resolves when there is room for more: the caller reads no further before. */
  async push(stream: LogStreamName, content: LogLine | number): Promise<void> {
    this.#entries.push({ stream, content });
    this.#bytes += typeof content === 'number' ? 0 : content.text.length;
    this.#flushing ??= this.#flush();
    if (this.#bytes >= limits.batchBytes || this.#entries.length >= limits.batchLines) this.#hurry.resolve();
    while (this.#full()) await this.#room.promise;
  }

  /** Resolves when all that was pushed is stored. Rejects as soon as publishing fails for good. */
  async drain(): Promise<void> {
    while (this.#flushing !== undefined) {
      this.#hurry.resolve();
      await this.#flushing;
    }
  }

  #full(): boolean {
    return this.#bytes >= limits.pendingBytes || this.#entries.length >= limits.pendingLines;
  }

  async #flush(): Promise<void> {
    try {
      while (this.#entries.length > 0) {
        await Promise.race([this.#hurry.promise, sleep(limits.batchMs)]);
        // One message at a time of what is here now; what comes meanwhile waits its own few milliseconds
        for (let waiting = this.#entries.length; waiting > 0; ) waiting -= await this.#publishRun(waiting);
        this.#hurry = Promise.withResolvers();
      }
    } finally {
      this.#flushing = undefined;
    }
  }

  /** Publishes the oldest entries of one stream, at most `waiting` of them; returns how many. */
  async #publishRun(waiting: number): Promise<number> {
    const first = this.#entries[0];
    if (first === undefined) return waiting;
    if (typeof first.content === 'number') {
      await this.#publish('lost', { lines: [], lost: first.content });
      this.lost += first.content;
      this.#remove(1, 0);
      return 1;
    }
    const lines: LogLine[] = [];
    let bytes = 0;
    for (const { stream, content } of this.#entries) {
      const full = bytes >= limits.batchBytes || lines.length === Math.min(waiting, limits.batchLines);
      if (full || stream !== first.stream || typeof content === 'number') break;
      lines.push(content);
      bytes += content.text.length;
    }
    await this.#publish(first.stream, { lines });
    this.lines += lines.length;
    this.#remove(lines.length, bytes);
    return lines.length;
  }

  #remove(count: number, bytes: number): void {
    this.#entries.splice(0, count);
    this.#bytes -= bytes;
    if (this.#full()) return;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}
