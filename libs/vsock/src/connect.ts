import { constants } from 'node:os';
import { addon } from './addon.ts';
import { carriesHalfClose, describeAddress, type Endpoint, sockaddr } from './address.ts';
import { connectError, VsockError } from './errors.ts';
import { connectLine, parseAnswer } from './hybrid.ts';
import { limits } from './limits.ts';
import { VsockStream } from './stream.ts';
import { READABLE, Watch, WRITABLE } from './watch.ts';

const { EAGAIN, ECONNREFUSED, EWOULDBLOCK, ETIMEDOUT } = constants.errno;

export interface ConnectOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** One connect, with its deadline and its cancelling: whatever ends it first closes the socket and settles the promise. */
class Connecting {
  readonly #endpoint: Endpoint;
  readonly #where: string;
  readonly #address: Buffer;
  readonly #timeoutMs: number;
  readonly #settled = Promise.withResolvers<VsockStream>();
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  #retryMs: number = limits.retryFirstMs;
  #watch: Watch | undefined;
  #answer = Buffer.alloc(0);

  constructor(endpoint: Endpoint, options: ConnectOptions) {
    this.#endpoint = endpoint;
    this.#where = describeAddress(endpoint);
    this.#address = sockaddr(endpoint);
    this.#timeoutMs = options.timeoutMs ?? limits.connectTimeoutMs;
    if (!(this.#timeoutMs > 0 && this.#timeoutMs <= limits.timeoutMaxMs))
      throw new VsockError(
        'OPTION_INVALID',
        `timeoutMs is ${this.#timeoutMs}; it is a number from 1 to ${limits.timeoutMaxMs}`,
      );
    this.#signal = options.signal;
    this.#deadline = setTimeout(() => this.#fail(connectError(this.#where, ETIMEDOUT)), this.#timeoutMs);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  start(): Promise<VsockStream> {
    if (this.#signal?.aborted) this.#onAbort();
    else this.#attempt();
    return this.#settled.promise;
  }

  readonly #onAbort = (): void => {
    const cause = this.#signal?.reason;
    this.#fail(new VsockError('CANCELLED', `connecting to ${this.#where} was cancelled`, { cause }));
  };

  #attempt(): void {
    const fd = addon().socketConnect(this.#address, Math.ceil(this.#timeoutMs));
    if (fd === -EAGAIN && this.#endpoint.type === 'unix') {
      this.#retry = setTimeout(() => this.#attempt(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, limits.retryMaxMs);
      return;
    }
    if (fd < 0) {
      this.#fail(connectError(this.#where, -fd));
      return;
    }
    try {
      this.#watch = new Watch(fd, () => this.#onWritable());
      this.#watch.want(WRITABLE);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #onWritable(): void {
    const watch = this.#watch as Watch;
    const error = -addon().socketError(watch.fd);
    if (error !== 0) {
      this.#fail(connectError(this.#where, error));
      return;
    }
    const port = this.#endpoint.type === 'unix' ? this.#endpoint.connectPort : undefined;
    if (port === undefined) {
      this.#succeed(undefined);
      return;
    }
    const line = Buffer.from(connectLine(port));
    const sent = addon().socketSend(watch.fd, line);
    if (sent !== line.length) {
      this.#fail(connectError(this.#where, sent < 0 ? -sent : ECONNREFUSED));
      return;
    }
    watch.onEvents = () => this.#onAnswer();
    watch.want(READABLE);
  }

  #onAnswer(): void {
    const part = Buffer.allocUnsafe(limits.answerBytes);
    const n = addon().socketRecv((this.#watch as Watch).fd, part);
    if (n === -EAGAIN || n === -EWOULDBLOCK) return;
    if (n <= 0) {
      this.#fail(connectError(this.#where, n < 0 ? -n : ECONNREFUSED));
      return;
    }
    this.#answer = Buffer.concat([this.#answer, part.subarray(0, n)]);
    const verdict = parseAnswer(this.#answer);
    if (verdict.state === 'refused') this.#fail(connectError(this.#where, ECONNREFUSED));
    // Bytes after the line belong to the stream.
    else if (verdict.state === 'connected') this.#succeed(this.#answer.subarray(verdict.length));
  }

  #succeed(rest: Buffer | undefined): void {
    this.#clean();
    const stream = new VsockStream(this.#watch as Watch, {
      halfClose: carriesHalfClose(this.#endpoint),
      ...(this.#endpoint.type === 'vsock' ? { peerCid: this.#endpoint.cid } : {}),
    });
    if (rest && rest.length > 0) stream.unshift(rest);
    this.#settled.resolve(stream);
  }

  #fail(error: Error): void {
    this.#clean();
    this.#watch?.close();
    this.#settled.reject(error);
  }

  #clean(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** @throws VsockError CONNECT_REFUSED, CONNECT_TIMEOUT, CONNECT_FAILED, NO_VSOCK, CANCELLED, ADDRESS_INVALID */
export async function connectStream(endpoint: Endpoint, options: ConnectOptions = {}): Promise<VsockStream> {
  return await new Connecting(endpoint, options).start();
}
