import { type ClientRequestArgs, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { nodeSocketOf } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OwnDialer } from './own-dialer.ts';
import { Turns } from './turns.ts';

export interface OwnRequest {
  readonly method: string;
  readonly url: URL;
  /** Path and query byte for byte, where the URL's reader would change them. Default: those of the URL. */
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface OwnAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** The answer of a server cannot be used: too large, or it ended early. */
export class OwnHttpError extends Error {
  override readonly name = 'OwnHttpError';
  readonly code = 'OWN_HTTP';
}

type Connected = (error: Error | null, stream: Duplex) => void;

/**
 * An HTTP client for odyn itself, over its own dialer. `https:` is verified by `ca` (PEM), or by the roots that Node
 * carries; its connections are kept for the next request.
 */
export class OwnHttp {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  /**
   * By origin, so that a slow one leaves the others theirs. Node's agents count a connection when it stands, and may forget who waits
   * for one.
   */
  readonly #turns = new Map<string, Turns>();

  constructor(dialer: OwnDialer, { ca }: { readonly ca?: string | undefined } = {}) {
    this.#http = new PlainAgent(dialer);
    this.#https = new TlsAgent(dialer, ca);
  }

  /**
   * Settles with the head of the answer; the caller reads or destroys the body. Aborting `signal` ends both.
   * @throws DialError, the errors of TLS and HTTP, and the signal's reason
   */
  async send(asked: OwnRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const leave = await this.#enter(asked.url.origin, signal);
    try {
      const answer = await this.#ask(asked, signal);
      answer.once('close', leave);
      return answer;
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Settles with what ends the turn. */
  async #enter(origin: string, signal: AbortSignal): Promise<() => void> {
    const turns = this.#turns.get(origin) ?? new Turns(limits.ownConnections);
    this.#turns.set(origin, turns);
    const leave = await turns.enter(signal);
    return () => {
      leave();
      // There may be any number of origins in time: a region each
      if (turns.isIdle) this.#turns.delete(origin);
    };
  }

  #ask(asked: OwnRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, url, path, headers, body } = asked;
    const isTls = url.protocol === 'https:';
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    let answered = false;
    const request = (isTls ? requestHttps : requestHttp)({
      method,
      host: url.hostname,
      port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
      path: path ?? `${url.pathname}${url.search}`,
      headers: { host: url.host, ...headers, ...(body === undefined ? {} : { 'content-length': body.length }) },
      agent: isTls ? this.#https : this.#http,
      maxHeaderSize: limits.ownHeaderBytes,
    });
    // What Node's own option does takes as long as all else that is done here with a request
    const onAbort = (): void => {
      request.destroy();
      // One that still waits for its connection says nothing of its end
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort);
    request.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      // Where Node gives neither answer nor error, as to a change of protocol that nobody asked for
      if (!answered) reject(new OwnHttpError('the server gave no answer'));
    });
    if (signal.aborted) onAbort();
    request.once('response', (response) => {
      answered = true;
      resolve(response);
    });
    // The dialler paused it by hand, and then a listener alone does not make it flow
    if (!isTls) request.once('socket', (socket) => socket.resume());
    request.on('error', (error) => {
      // A kept connection that the server closed before it had our request: every SDK asks again. Each try uses one up
      if (request.reusedSocket && !answered && !signal.aborted) resolve(this.#ask(asked, signal));
      else reject(error);
    });
    request.end(body);
    return promise;
  }

  /** The whole answer. @throws OwnHttpError, and what `send` throws */
  async exchange(request: OwnRequest, { timeoutMs, maxBytes }: { timeoutMs: number; maxBytes: number }) {
    const response = await this.send(request, AbortSignal.timeout(timeoutMs));
    return { status: response.statusCode ?? 0, headers: response.headers, body: await readBody(response, maxBytes) };
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

/** By events: iterating a stream costs as much as all else that is done with a small body. @throws OwnHttpError */
export function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  let size = 0;
  message.on('data', (part: Buffer) => {
    size += part.length;
    parts.push(part);
    if (size > maxBytes) message.destroy(new OwnHttpError(`the answer has more than ${maxBytes} bytes`));
  });
  message.once('end', () => resolve(Buffer.concat(parts)));
  message.once('error', reject);
  message.once('close', () => {
    if (!message.readableEnded) reject(new OwnHttpError('the answer ended early'));
  });
  return promise;
}

/** One request for each connection: what is asked in clear is asked every few hours. */
class PlainAgent extends HttpAgent {
  readonly #dialer: OwnDialer;

  constructor(dialer: OwnDialer) {
    super({ keepAlive: false });
    this.#dialer = dialer;
  }

  override createConnection({ host, port }: ClientRequestArgs, connected?: Connected): undefined {
    const signal = AbortSignal.timeout(limits.ownConnectMs);
    connectWith(connected, () => this.#dialer.connect(host ?? '', Number(port), signal));
  }
}

class TlsAgent extends HttpsAgent {
  readonly #dialer: OwnDialer;
  readonly #ca: string | undefined;

  constructor(dialer: OwnDialer, ca: string | undefined) {
    super({
      keepAlive: true,
      maxFreeSockets: limits.ownIdleConnections,
      timeout: limits.ownIdleMs,
      scheduling: 'lifo',
    });
    this.#dialer = dialer;
    this.#ca = ca;
  }

  override createConnection({ host, port }: ClientRequestArgs, connected?: Connected): undefined {
    connectWith(connected, () => this.#connect(host ?? '', Number(port)));
  }

  async #connect(host: string, port: number): Promise<Duplex> {
    const signal = AbortSignal.timeout(limits.ownConnectMs);
    const stream = nodeSocketOf(await this.#dialer.connect(host, port, signal));
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const isAddress = /^\[|^[\d.]+$/.test(host);
    const socket = connectTls({
      socket: stream,
      host: host.replace(/^\[|\]$/g, ''),
      ...(isAddress ? {} : { servername: host }),
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
    });
    const onAbort = (): void => void socket.destroy(new OwnHttpError(`no TLS with ${host} in time`));
    signal.addEventListener('abort', onAbort);
    const settled = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
    };
    const onError = (error: Error): void => {
      settled();
      stream.destroy();
      reject(error);
    };
    socket.once('error', onError);
    socket.once('secureConnect', () => {
      settled();
      resolve(socket);
    });
    return promise;
  }
}

function connectWith(connected: Connected | undefined, connect: () => Promise<Duplex>): void {
  connect().then(
    (stream) => connected?.(null, stream),
    // Node's types want a stream even beside an error
    (error: Error) => connected?.(error, undefined as unknown as Duplex),
  );
}
