import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

interface Waiting {
  readonly start: () => void;
  readonly response: ServerResponse | undefined;
}

/** The pipeline of each connection, in which `most` requests wait. */
export function pipelines(most: number): (socket: Duplex) => Pipeline {
  const all = new WeakMap<Duplex, Pipeline>();
  return (socket) => {
    const known = all.get(socket);
    if (known !== undefined) return known;
    const pipeline = new Pipeline(socket, most);
    all.set(socket, pipeline);
    return pipeline;
  };
}

/**
 * What a client sends on one connection of HTTP/1.1 without waiting for answers, carried out one by one: a request may depend on what
 * the one before does (RFC 9112, section 9.3.2), and all together are no more than one to who answers them.
 */
class Pipeline {
  readonly #socket: Duplex;
  readonly #most: number;
  readonly #waiting: Waiting[] = [];
  #current: ServerResponse | undefined;

  /** `most` wait; one more, and the connection is closed. */
  constructor(socket: Duplex, most: number) {
    this.#socket = socket;
    this.#most = most;
  }

  /** The answer that is under way. */
  get current(): ServerResponse | undefined {
    return this.#current;
  }

  /** Calls `start` when it is its turn; at the end of its `response` comes the next. Without one nothing comes behind it. */
  add(start: () => void, response?: ServerResponse): void {
    if (this.#waiting.length >= this.#most) {
      this.#socket.destroy();
      return;
    }
    this.#waiting.push({ start, response });
    if (this.#current === undefined) this.#next();
  }

  /**
   * The last of a connection, before which Node lets go of the socket: the answers before it would wait for ever for room, and
   * hear of it here.
   */
  addLast(start: () => void): void {
    const onDrain = (): void => void this.#current?.emit('drain');
    const onTimeout = (): void => void this.#socket.destroy();
    this.#socket.on('drain', onDrain).on('timeout', onTimeout);
    this.add(() => {
      this.#socket.off('drain', onDrain).off('timeout', onTimeout);
      start();
    });
  }

  /** Takes out what waits and has not come whole. */
  dropPart(): void {
    if (this.#waiting.at(-1)?.response?.req.complete === false) this.#waiting.pop();
  }

  #next(): void {
    const next = this.#waiting.shift();
    // After the last answer of a connection there is nobody to answer
    if (next === undefined || !this.#socket.writable) return;
    this.#current = next.response;
    next.response?.once('close', () => {
      this.#current = undefined;
      this.#next();
    });
    next.start();
  }
}
