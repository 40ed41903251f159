import { setTimeout as sleep } from 'node:timers/promises';
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  ErrorCode,
  type JetStreamManager,
  type JsMsg,
  type NatsConnection,
  NatsError,
  nanos,
} from 'nats';
import { limits } from './limits.ts';
import { LOG_STREAM } from './subjects.ts';

/** Where to begin: at a position, or with what was published at a time or later. */
export type LogStart = { position: number } | { time: Date };

/**
 * Reads messages of the log stream in order, each once. The server sends only what was asked for, so that a reader that
 * is slow holds nothing in memory; a server that was away, or has forgotten the reader, is asked again from the next one.
 */
export class LogReader {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #filter: string;
  #start: LogStart;
  #batch: ConsumerMessages | undefined;
  #closed = false;

  constructor(connection: NatsConnection, manager: JetStreamManager, filter: string, start: LogStart) {
    this.#connection = connection;
    this.#manager = manager;
    this.#filter = filter;
    this.#start = start;
  }

  /** Ends after `close`, and with the connection. */
  async *[Symbol.asyncIterator](): AsyncIterator<JsMsg> {
    while (!this.#isOver()) {
      try {
        yield* this.#read();
      } catch (error) {
        // A server that is away or restarts, or that has forgotten us: all that is needed is known here
        if (!(error instanceof NatsError) || error.code === ErrorCode.PermissionsViolation) throw error;
      }
      if (!this.#isOver()) await sleep(limits.storeRetryMs);
    }
  }

  #isOver(): boolean {
    return this.#closed || this.#connection.isClosed() || this.#connection.isDraining();
  }

  /** Ends the reading; a loop over it ends too. */
  close(): void {
    this.#closed = true;
    // Its promise is kept only where a loop goes on to its end
    void this.#batch?.close();
  }

  /** Reads with one consumer, for as long as its messages come without a gap. */
  async *#read(): AsyncGenerator<JsMsg, void> {
    const info = await this.#manager.consumers.add(LOG_STREAM, {
      ack_policy: AckPolicy.None,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(limits.logReaderIdleMs),
      filter_subject: this.#filter,
      ...startOf(this.#start),
    });
    const consumer = this.#connection.jetstream().consumers.getPullConsumerFor(info);
    let delivered = 0;
    // Nobody deletes a consumer (`permissions.ts`): the server forgets it
    while (!this.#isOver()) {
      this.#batch = await consumer.fetch({ max_messages: limits.logReaderMessages, expires: limits.logReaderWaitMs });
      if (this.#closed) break;
      for await (const message of this.#batch) {
        delivered += 1;
        // One was lost on its way: the next consumer begins with it
        if (message.info.deliverySequence !== delivered) return;
        this.#start = { position: message.seq + 1 };
        yield message;
      }
    }
  }
}

function startOf(start: LogStart) {
  return 'time' in start
    ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: start.time.toISOString() }
    : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, start.position) };
}
