import { ErrorCode, type JetStreamSubscription, type JsMsg, NatsError } from 'nats';

/**
 * A typed view of an ordered JetStream consumer: an async iterable that ends when its loop is left or when `close` is
 * called,
 * or after the message for which `isLast` is true. `ready` resolves once the server has the consumer, so that what is published after it will be seen.
 */
export class StreamWatch<T> implements AsyncIterable<T> {
  readonly ready: Promise<void>;
  readonly #opened: Promise<JetStreamSubscription | undefined>;
  #closed: Promise<void> | undefined;
  readonly #map: (message: JsMsg) => T | undefined;
  readonly #isLast: (message: JsMsg) => boolean;

  /** `open` gives undefined where there is nothing to wait for. */
  constructor(
    open: () => Promise<JetStreamSubscription | undefined>,
    map: (message: JsMsg) => T | undefined,
    isLast: (message: JsMsg) => boolean = () => false,
  ) {
    this.#opened = open();
    this.#map = map;
    this.#isLast = isLast;
    this.ready = this.#opened.then(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    const messages = await this.#opened;
    if (messages === undefined) return;
    try {
      for await (const message of messages) {
        const item = this.#map(message);
        if (item !== undefined) yield item;
        if (this.#isLast(message)) return;
      }
    } finally {
      await this.close();
    }
  }

  /** Ends the loop, if one runs. The server forgets the consumer a few seconds after nobody listens to it. */
  close(): Promise<void> {
    this.#closed ??= this.#opened.then((messages) => messages?.drain()).catch(unlessGone);
    return this.#closed;
  }
}

/** Where the connection ends, or the loop has ended, nothing is left to end. */
function unlessGone(error: unknown): void {
  const gone: readonly string[] = [ErrorCode.ConnectionDraining, ErrorCode.ConnectionClosed, ErrorCode.SubClosed];
  if (!(error instanceof NatsError) || !gone.includes(error.code)) throw error;
}
