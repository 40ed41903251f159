import { consumerOpts, type JetStreamManager, type KV, type NatsConnection, NatsError, type StoredMsg } from 'nats';
import * as z from 'zod';
import { BusError } from './bus-error.ts';
import { contentOf } from './key-value.ts';
import { limits } from './limits.ts';
import { logPlacesSchema } from './log-gaps.ts';
import { decodeLog, lastMessage, MESSAGE_NOT_FOUND } from './log-watch.ts';
import type { LogKind, LogMessage } from './logs.ts';
import { openBucket } from './storage.ts';
import type { StoredWrites } from './stored-writes.ts';
import { StreamWatch } from './stream-watch.ts';
import { LOG_SINK_BUCKET, LOG_STREAM, subjects } from './subjects.ts';

/** How far a sink has come; its next message is the one after `position`. */
const logCursorSchema = z.object({
  /** When the log stream was made: positions of another one mean nothing. */
  created: z.string(),
  position: z.number().int().min(0),
  places: logPlacesSchema,
});

export type LogCursor = z.infer<typeof logCursorSchema>;

/** The end of one kind of one enclave's log. */
export interface LogTip {
  position: number;
  batch: LogMessage | undefined;
}

export type StoredLog = Pick<StoredMsg, 'subject' | 'seq' | 'data'>;

/** What is kept of the logs of all enclaves, as the log-relay looks after it. */
export class LogStore {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #writes: StoredWrites;
  readonly #refused: (error: BusError) => void;
  #cursors: Promise<KV> | undefined;

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    writes: StoredWrites,
    refused: (error: BusError) => void,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#writes = writes;
    this.#refused = refused;
  }

  /**
   * Where whoever writes one kind of one enclave's log goes on: behind the newest message kept, at `position` (0 for none), with the
   * state that is in the newest `batch` behind `known`. The two are not always one message: the server's answers can be sent here by
   * anybody. They stay, since nats-server 2.9.10 finds no last message of a subject whose last one was deleted. A bus that is away is
   * waited for.
   */
  last(id: string, kind: LogKind, known = 0): Promise<LogTip> {
    const subject = subjects.log(id, kind);
    return this.#writes.until(async () => {
      const newest = await lastMessage(this.#manager, subject);
      if (newest === undefined) return { position: 0, batch: undefined };
      const batch = this.#batch(newest, this.#refused) ?? (await this.#batchBetween(subject, known, newest.seq));
      return { position: newest.seq, batch };
    });
  }

  /** Which stream of messages this is, the position of the last one, and how many bytes it holds at most. */
  async end(): Promise<{ created: string; position: number; capacity: number }> {
    const { created, config, state } = await this.#manager.streams.info(LOG_STREAM);
    return { created, position: state.last_seq, capacity: config.max_bytes };
  }

  /**
   * The next messages of all enclaves behind a position, in order, a few at most; none where there are none yet. Each is
   * asked for: who writes a stream may not pull from it (`permissions.ts`). Decode with `decodeLog`.
   */
  async after(position: number): Promise<StoredLog[]> {
    const first = await this.#message({ seq: position + 1, next_by_subj: subjects.logs() });
    if (first === undefined) return [];
    const behind = Array.from({ length: limits.logStoreMessages - 1 }, (_, index) => first.seq + 1 + index);
    const messages = await Promise.all(behind.map((seq) => this.#message({ seq })));
    // One that is missing may have been stored meanwhile, and others behind it: the next call looks again
    const missing = messages.indexOf(undefined);
    return [first, ...messages.slice(0, missing < 0 ? undefined : missing).filter((message) => message !== undefined)];
  }

  /** Enclave, position and size in bytes of all messages kept, in order; the server sends no more of them than that. */
  async *sizes(): AsyncGenerator<{ id: string; position: number; bytes: number }> {
    const { state } = await this.#manager.streams.info(LOG_STREAM);
    if (state.messages === 0) return;
    const options = consumerOpts().bindStream(LOG_STREAM).orderedConsumer().headersOnly().deliverAll();
    const open = () => this.#connection.jetstream().subscribe(subjects.logs(), options);
    const watch = new StreamWatch(open, ({ subject, seq, headers, info }) => ({
      id: subject.split('.').at(-2) ?? '',
      position: seq,
      bytes: Number(headers?.get('Nats-Msg-Size') ?? 0),
      left: info.pending,
    }));
    for await (const { left, ...size } of watch) {
      yield size;
      if (left === 0) return;
    }
  }

  /**
   * Drops a message; that it is gone already is no error. Not a purge of all of one enclave: nats-server before 2.9.15 does not count
   * as free what a purge of one subject frees, and stores nothing any more when the sum of it is `max_file_store` (its pull request 3876).
   */
  async drop(position: number): Promise<void> {
    try {
      await this.#manager.streams.deleteMessage(LOG_STREAM, position, false);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** How far the sink `key` has come; undefined for a new one. A bus that is away is waited for. */
  async cursor(key: string): Promise<LogCursor | undefined> {
    const entry = await this.#writes.until(async () => (await this.#bucket()).get(key));
    return contentOf(entry, logCursorSchema);
  }

  async putCursor(key: string, cursor: LogCursor): Promise<void> {
    await (await this.#bucket()).put(key, JSON.stringify(cursor));
  }

  /** The newest batch between two positions. Looks at the last of them first, and at four times as many each time. */
  async #batchBetween(subject: string, known: number, end: number): Promise<LogMessage | undefined> {
    for (let reach = 64; ; reach *= 4) {
      const from = Math.max(known + 1, end - reach);
      let batch: LogMessage | undefined;
      for (let seq = from; seq < end; ) {
        const message = await this.#message({ seq, next_by_subj: subject });
        if (message === undefined || message.seq >= end) break;
        batch = this.#batch(message) ?? batch;
        seq = message.seq + 1;
      }
      if (batch !== undefined || from === known + 1) return batch;
    }
  }

  /** Undefined for what nobody of ours wrote, of which `refused` is told. */
  #batch({ subject, seq, data }: StoredLog, refused?: (error: BusError) => void): LogMessage | undefined {
    try {
      return decodeLog(subject, seq, data);
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'BUS_MESSAGE_INVALID') throw error;
      refused?.(error);
      return undefined;
    }
  }

  /** `next_by_subj`: the first one with such a subject at `seq` or behind it (nats-server 2.9). */
  async #message(query: { seq: number; next_by_subj?: string }): Promise<StoredMsg | undefined> {
    try {
      return await this.#manager.streams.getMessage(LOG_STREAM, query);
    } catch (error) {
      if (error instanceof NatsError && error.api_error?.err_code === MESSAGE_NOT_FOUND) return undefined;
      throw error;
    }
  }

  #bucket(): Promise<KV> {
    this.#cursors ??= openBucket(this.#connection.jetstream(), LOG_SINK_BUCKET);
    return this.#cursors;
  }
}

/** Of a message to be deleted. "delete failed" is what other failures have for a code as well (server/errors.json; server/store.go). */
function isGone(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  const { err_code: code, description = '' } = error.api_error ?? {};
  return (
    code === 10043 || (code === 10057 && /^(no message found|deleted message|stream store eof)$/i.test(description))
  );
}
