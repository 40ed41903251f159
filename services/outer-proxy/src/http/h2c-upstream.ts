import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { type Cancel, endToEnd, HttpFault, pour } from '@enclaver/http-forward';
import { limits } from '../limits.ts';
import { asTheyCome, grouped, sendTrailers, withoutPseudo } from './fields.ts';
import type { Answer, Asked } from './message.ts';
import { RequestError } from './request-error.ts';
import type { Upstream } from './upstream.ts';

/** An app that speaks HTTP/2 in clear, such as a gRPC server: all requests share one connection. */
export class H2cUpstream implements Upstream {
  readonly #open: () => Promise<Duplex>;
  #session: Promise<ClientHttp2Session> | undefined;
  #active = 0;

  /** `open` dials the port inside. */
  constructor(open: () => Promise<Duplex>) {
    this.#open = open;
  }

  async ask(asked: Asked, signal: Cancel): Promise<Answer> {
    const session = await this.#connected();
    const stream = request(session, asked);
    this.#active++;
    stream.once('close', () => this.#active--);
    stream.once('error', ({ code }: NodeJS.ErrnoException) => {
      // It has had all its numbers: what runs on it may end, and the next request opens another
      if (code === 'ERR_HTTP2_OUT_OF_STREAMS') session.close();
    });
    const cancel = (): void => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    return await exchange(stream, asked);
  }

  upgrade(): Promise<never> {
    throw new RequestError(501, 'UPGRADE_REFUSED', 'the enclave speaks HTTP/2, which has no Upgrade');
  }

  close(): void {
    void this.#session?.then(
      (session) => session.close(),
      () => undefined,
    );
    this.#session = undefined;
  }

  async #connected(): Promise<ClientHttp2Session> {
    const current = this.#session;
    const open = await current;
    if (open !== undefined && !open.closed && !open.destroyed) return open;
    if (this.#session === current) this.#session = this.#connect();
    return await (this.#session ?? this.#connect());
  }

  #connect(): Promise<ClientHttp2Session> {
    const connecting = this.#open().then((stream) => this.#over(stream));
    const forget = (): void => {
      if (this.#session === connecting) this.#session = undefined;
    };
    connecting.then((session) => session.once('goaway', forget).once('close', forget), forget);
    return connecting;
  }

  #over(stream: Duplex): ClientHttp2Session {
    const session = connect('http://enclave', {
      ...asTheyCome,
      createConnection: () => stream,
      settings: { enablePush: false, initialWindowSize: limits.httpStreamWindow },
      maxHeaderListPairs: limits.httpHeaders,
      maxSendHeaderBlockLength: limits.httpAnswerHeaderBytes,
    });
    session.once('connect', () => session.setLocalWindowSize(limits.httpSessionWindow));
    // Each stream hears of it, too, and answers its client
    session.on('error', () => session.destroy());
    session.setTimeout(limits.httpKeptMs, () => {
      if (this.#active === 0) session.close();
    });
    return session;
  }
}

/** @throws HttpFault 502 */
function request(session: ClientHttp2Session, { method, authority, target, headers, body }: Asked): ClientHttp2Stream {
  try {
    const head = { ':method': method, ':scheme': 'http', ':authority': authority, ':path': target };
    // TE is this hop's own word: what comes behind a body is passed on
    return session.request(
      { ...grouped(headers), te: 'trailers', ...head },
      { endStream: body === undefined, waitForTrailers: body !== undefined },
    );
  } catch (cause) {
    throw new HttpFault(502, 'the enclave has just ended the connection', { cause });
  }
}

/** @throws HttpFault 502 */
async function exchange(stream: ClientHttp2Stream, { body, trailers, onBody, onContinue }: Asked): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const brokeOff = (cause?: Error): void => reject(new HttpFault(502, 'the enclave broke off', { cause }));
  let behind: string[] = [];
  stream.on('error', brokeOff);
  stream.once('close', () => brokeOff());
  if (onContinue !== undefined) stream.once('continue', onContinue);
  stream.once('trailers', (_headers: IncomingHttpHeaders, _flags: number, raw: unknown) => {
    behind = endToEnd(raw as string[]);
  });
  stream.once('response', (headers: IncomingHttpHeaders, flags: number, raw: unknown) => {
    resolve({
      status: Number(headers[':status']),
      reason: '',
      headers: endToEnd(withoutPseudo(raw as string[])),
      body: stream,
      isWhole: false,
      isHeadOnly: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
      trailers: () => behind,
    });
  });
  if (body !== undefined) {
    stream.once('wantTrailers', () => sendTrailers(stream, trailers?.() ?? []));
    pour(body, stream, onBody);
  }
  return await promise;
}
