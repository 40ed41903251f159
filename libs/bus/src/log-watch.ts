import { type JetStreamManager, type JsMsg, type NatsConnection, NatsError, type StoredMsg } from 'nats';
import { BusError } from './bus-error.ts';
import { decodeCloudEvent } from './cloud-event.ts';
import { LogGaps } from './log-gaps.ts';
import { LogReader, type LogStart } from './log-reader.ts';
import {
  isLogStreamName,
  type LogMessage,
  type LogStreamName,
  logBatchSchema,
  type StreamLine,
  streamLines,
} from './logs.ts';
import type { StoredWrites } from './stored-writes.ts';
import { LOG_STREAM, subjects } from './subjects.ts';

export interface LogQuery {
  id: string;
  /** Go on with the lines to come; without it the watch ends with the last line kept. */
  follow?: boolean;
  /** Only these streams; all of them without it. Unless it is the console alone, `lost` is always among them. */
  streams?: readonly LogStreamName[];
  /** Only what was published then or later. */
  since?: Date;
  /** Only so many of the last lines kept, and those to come. */
  tail?: number;
}

/**
 * An enclave's log as messages in order: an async iterable that ends when its loop is left, or as `close` and `finish` say.
 * What the bus has dropped is counted in `lost` of the next message.
 */
export class LogWatch implements AsyncIterable<LogMessage> {
  /** Resolves once it is clear where the watch begins: what is published after it will be seen. */
  readonly ready: Promise<void>;
  /** With `tail`, once ready: how many of the lines asked for are kept. */
  tailed = 0;
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  /** Asks again what is asked while the server is away: the client drops it when it connects. */
  readonly #writes: StoredWrites;
  readonly #query: LogQuery;
  /** Is told of each message under these subjects that is no log of ours; the watch goes on behind it. */
  readonly #refused: (error: BusError) => void;
  readonly #filter: string;
  #begin: Beginning = { start: { position: 1 }, skip: 0 };
  readonly #gaps = new LogGaps();
  #reader: LogReader | undefined;
  #seen = 0;
  #last = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    writes: StoredWrites,
    query: LogQuery,
    refused: (error: BusError) => void,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#writes = writes;
    this.#query = query;
    this.#refused = refused;
    // Of `records` also the lines of schema 1.0, a subject for each stream
    const isConsole = query.streams?.every((stream) => stream === 'console') ?? false;
    this.#filter = isConsole ? subjects.log(query.id, 'console') : subjects.logs(query.id);
    this.ready = this.#prepare();
    // Told to whoever iterates
    this.ready.catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<LogMessage> {
    await this.ready;
    if (this.#closed || this.#last <= this.#seen) return;
    const reader = this.#read(this.#begin.start);
    this.#reader = reader;
    let { skip } = this.#begin;
    try {
      for await (const stored of reader) {
        if (this.#closed) return;
        const message = this.#decode(stored);
        const lost = message === undefined ? 0 : this.#missingBefore(message) + (message.lost ?? 0);
        const wanted = message === undefined ? [] : this.#wanted(message);
        if (message !== undefined && wanted.length + lost > 0) {
          const lines = skip > 0 ? wanted.slice(skip) : wanted;
          yield { ...message, lines, ...(lost > 0 ? { lost } : {}) };
          skip = 0;
        }
        this.#seen = stored.seq;
        if (this.#seen >= this.#last) return;
      }
    } finally {
      await this.close();
    }
  }

  /** The enclave has said all: ends the loop after the last message that is kept now. */
  async finish(): Promise<void> {
    this.#last = await this.#lastPosition();
    if (this.#seen >= this.#last) await this.close();
  }

  /** Ends the loop, if one runs. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#reader?.close();
  }

  async #prepare(): Promise<void> {
    const { follow, tail, since } = this.#query;
    if (since !== undefined) this.#begin = { start: { time: since }, skip: 0 };
    if (tail !== undefined) this.#begin = await this.#tail(tail, since);
    if (follow !== true) this.#last = await this.#lastPosition();
  }

  /**
   * Where the last `wanted` lines begin. Reads the end of the stream, twice as much of it each time, until they are in it:
   * what is read is in proportion to what is asked for, not to what is kept.
   */
  async #tail(wanted: number, since: Date | undefined): Promise<Beginning> {
    const { state } = await this.#writes.until(() => this.#manager.streams.info(LOG_STREAM));
    const end = (await this.#lastMessage())?.seq ?? 0;
    if (end === 0 || wanted === 0) return { start: { position: state.last_seq + 1 }, skip: 0 };
    for (let reach = 64; ; reach *= 4) {
      const from = Math.max(state.first_seq, end - reach + 1);
      const counts: { position: number; lines: number }[] = [];
      for await (const message of this.#upTo(from, end)) {
        if (since !== undefined && Date.parse(message.published) < since.getTime()) continue;
        counts.push({ position: message.position, lines: this.#wanted(message).length });
      }
      let lines = 0;
      for (const count of counts.toReversed()) {
        lines += count.lines;
        this.tailed = Math.min(wanted, lines);
        if (lines >= wanted) return { start: { position: count.position }, skip: lines - wanted };
      }
      const first = counts[0]?.position ?? state.last_seq + 1;
      if (from <= state.first_seq) return { start: { position: first }, skip: 0 };
    }
  }

  async *#upTo(from: number, end: number): AsyncGenerator<LogMessage> {
    const reader = this.#read({ position: from });
    this.#reader = reader;
    try {
      for await (const stored of reader) {
        const message = this.#decode(stored);
        if (message !== undefined) yield message;
        if (stored.seq >= end) return;
      }
    } finally {
      reader.close();
    }
  }

  /** Undefined for what is not for this reader, and for what nobody of ours wrote: the server's answers can be sent here by anybody. */
  #decode({ subject, seq, data }: JsMsg): LogMessage | undefined {
    try {
      return decodeLog(subject, seq, data);
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      this.#refused(error);
      return undefined;
    }
  }

  /** Position of the last message kept of those that the watch is about, 0 for none. */
  async #lastPosition(): Promise<number> {
    const last = await this.#lastMessage();
    const { start } = this.#begin;
    if (last === undefined) return 0;
    const isBefore = 'time' in start ? last.time < start.time : last.seq < start.position;
    return isBefore ? 0 : last.seq;
  }

  #lastMessage(): Promise<StoredMsg | undefined> {
    return this.#writes.until(() => lastMessage(this.#manager, this.#filter));
  }

  #read(start: LogStart): LogReader {
    return new LogReader(this.#connection, this.#manager, this.#filter, start);
  }

  #wanted({ lines }: LogMessage): StreamLine[] {
    const { streams } = this.#query;
    return streams === undefined ? lines : lines.filter(({ stream }) => streams.includes(stream));
  }

  /** Lines that the bus has dropped. */
  #missingBefore(message: LogMessage): number {
    return this.#gaps.take(message, this.#query.since === undefined && this.#query.tail === undefined);
  }
}

interface Beginning {
  start: LogStart;
  /** Lines of the first message that are not shown. */
  skip: number;
}

/** Undefined for a kind that a newer log-relay knows and this reader does not. Errors: `BUS_MESSAGE_INVALID`. */
export function decodeLog(subject: string, position: number, data: Uint8Array): LogMessage | undefined {
  const [id, kind] = subject.split('.').slice(-2);
  if (id === undefined || kind === undefined || (kind !== 'records' && !isLogStreamName(kind))) return undefined;
  const event = decodeCloudEvent(data, logBatchSchema);
  return { id, position, published: event.time, ...event.data, lines: streamLines(kind, event.data.lines) };
}

/** JetStream's error code where no message is kept under a subject (server/errors.json). */
export const MESSAGE_NOT_FOUND = 10037;

/** The newest message kept in the log stream under such a subject. */
export async function lastMessage(manager: JetStreamManager, filter: string): Promise<StoredMsg | undefined> {
  try {
    return await manager.streams.getMessage(LOG_STREAM, { last_by_subj: filter });
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === MESSAGE_NOT_FOUND) return undefined;
    throw error;
  }
}
