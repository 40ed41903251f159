import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { Socket } from 'node:net';
import { endToEnd, pairs, pass } from '@enclaver/http-forward';
import { hostOf, targetOf } from './authority.ts';
import { asTheyCome, grouped, sendTrailers, withoutPseudo } from './fields.ts';
import { withForwarded } from './forwarded.ts';
import type { Front } from './front.ts';
import { type Answer, type Asked, type Client, clientOf } from './message.ts';
import { entryOf, type RequestEntry } from './request-entry.ts';
import { connectRefused, RequestError, requestErrorOf, tooLarge } from './request-error.ts';
import type { Running } from './running.ts';
import { trailersOf } from './trailers.ts';

/** Statuses whose answers have no body, whatever their headers say. */
const BODILESS = new Set([204, 205, 304]);

/** Serves HTTP/2 in clear. Each stream is a request like those of HTTP/1.1. */
export class H2c {
  readonly #front: Front;
  readonly #options: ServerOptions;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(front: Front) {
    this.#front = front;
    this.#options = {
      ...asTheyCome,
      maxHeaderListPairs: front.limits.httpHeaders,
      maxSendHeaderBlockLength: front.limits.httpAnswerHeaderBytes,
      settings: {
        maxConcurrentStreams: front.limits.httpStreams,
        maxHeaderListSize: front.limits.httpHeaderBytes,
        enablePush: false,
      },
    };
  }

  serve(socket: Socket): void {
    socket.setNoDelay(true);
    const session = performServerHandshake(socket, this.#options);
    session.on('error', (error) => this.#front.logger.debug({ err: error }, 'HTTP/2 connection broke'));
    const client = clientOf(socket);
    let open = 0;
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    const { httpKeepAliveMs } = this.#front.limits;
    session.setTimeout(httpKeepAliveMs);
    session.on('timeout', () => {
      if (open > 0) return;
      session.destroy();
      // Before it ends, a session waits for whatever is still to be written, which may never be taken
      socket.destroy();
    });
    session.on('stream', (stream, headers, _flags, rawHeaders) => {
      open++;
      stream.once('close', () => {
        // The time may have run out in the meantime, and is told once
        if (--open === 0) session.setTimeout(httpKeepAliveMs);
      });
      void this.#serveStream(stream, headers, rawHeaders as unknown as string[], client);
    });
    if (this.#front.keepsAlive) return;
    // It ends after its request, for which it gets a moment
    session.once('stream', () => session.close());
    const late = setTimeout(() => session.close(), this.#front.limits.httpLastCallMs);
    session.once('close', () => clearTimeout(late));
  }

  /** GOAWAY: streams that are open may end. */
  drain(): void {
    for (const session of this.#sessions) session.close();
  }

  cut(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async #serveStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    peer: Client,
  ): Promise<void> {
    // What happens to a broken stream is decided where it is read and written
    stream.on('error', (error) => this.#front.logger.debug({ err: error }, 'HTTP/2 stream broke'));
    const client = this.#front.trusted?.clientOf(peer, headers) ?? peer;
    const entry = entryOf(client, headers[':method'], authorityOf(headers), headers[':path']);
    const { httpBodyMs, httpIdleMs } = this.#front.limits;
    /** Whose body is on its way. */
    let receiving: Running | undefined;
    stream.setTimeout(httpIdleMs);
    stream.on('timeout', () => {
      if (receiving === undefined || stream.readableEnded) {
        stream.destroy(new Error('nothing has moved on the stream'));
        return;
      }
      const hasBytes = stream.readableLength > 0 || stream.state.remoteClose === 1;
      if (receiving.stoodStill(hasBytes)) stream.setTimeout(httpBodyMs);
    });
    try {
      const asked = askedOf(this.#front, stream, headers, rawHeaders, entry);
      await this.#front.find(entry, hostOf(asked.authority), asked.target).run(entry, async (running) => {
        // Taken back without an error, as Node's client does it, a stream ends and finishes
        const onAborted = (): void => running.abort();
        stream.once('aborted', onAborted);
        if (stream.aborted) onAborted();
        stream.once('close', () => {
          if (!stream.writableFinished || stream.rstCode !== constants.NGHTTP2_NO_ERROR) running.abort();
        });
        if (asked.body !== undefined) {
          receiving = running;
          stream.setTimeout(httpBodyMs);
          stream.once('end', () => stream.setTimeout(httpIdleMs));
        }
        await reply(stream, asked.method, await running.ask(asked), running);
      });
    } catch (error) {
      this.#answerError(stream, entry, error);
    }
    receiving = undefined;
    letGo(stream, this.#front.limits.httpLastCallMs);
    this.#front.onRequestEnd(entry);
  }

  #answerError(stream: ServerHttp2Stream, entry: RequestEntry, cause: unknown): void {
    // One that its client has closed takes no answer, and is destroyed only where its body was read
    if (stream.destroyed || stream.closed) {
      stream.destroy();
      return;
    }
    if (stream.headersSent) {
      // What has begun must not look like a whole answer: INTERNAL_ERROR. Closing would wait for one who takes nothing
      stream.destroy(new Error('the answer broke off', { cause }));
      return;
    }
    const error = requestErrorOf(this.#front, cause);
    const { headers: own, body } = error.answer();
    stream.respond({ ...grouped(own), ':status': error.status });
    if (entry.method !== 'HEAD') stream.end(body);
    error.note(entry);
  }
}

/**
 * After the answer the rest of a body is not waited for (RFC 9113, section 8.1). It is read meanwhile: a RST_STREAM that comes at once
 * would overtake the answer.
 */
function letGo(stream: ServerHttp2Stream, lastCallMs: number): void {
  if (stream.endAfterHeaders || stream.readableEnded || stream.destroyed) return;
  stream.resume();
  const close = (): void => stream.close(constants.NGHTTP2_NO_ERROR);
  // Closing before the answer is taken would wait for that without a bound
  const late = setTimeout(() => (stream.writableFinished ? close() : stream.once('finish', close)), lastCallMs);
  stream.once('close', () => clearTimeout(late));
}

/** @throws RequestError */
function askedOf(
  { limits }: Front,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  entry: RequestEntry,
): Asked {
  if (rawHeaders.length > limits.httpHeaders * 2) throw tooLarge();
  const method = headers[':method'] ?? '';
  if (method === 'CONNECT') throw connectRefused();
  // Methods differ by case, and Node writes capitals alone: the app would be asked for another one, such as CONNECT
  if (method !== method.toUpperCase()) {
    throw new RequestError(400, 'REQUEST_INVALID', 'the method has small letters, and only capitals are passed on');
  }
  const authority = authorityOf(headers);
  if (headers.host !== undefined && headers.host.toLowerCase() !== authority.toLowerCase()) {
    throw new RequestError(400, 'HOST_INVALID', ':authority and Host name two hosts');
  }
  const fields = withoutPseudo(rawHeaders);
  const hasBody = !stream.endAfterHeaders;
  let trailers: string[] = [];
  stream.once('trailers', (_headers, _flags, raw: unknown) => {
    trailers = trailersOf(raw as string[]);
  });
  return {
    method,
    authority,
    target: targetOf(method, headers[':path'] ?? '', authority),
    headers: withForwarded(oneCookie(endToEnd(fields, ['host', 'expect'])), authority, entry.client),
    framing: framingOf(headers, hasBody),
    body: hasBody ? stream : undefined,
    trailers: () => trailers,
    onBody: (count) => {
      entry.bytesIn += count;
    },
  };
}

function authorityOf(headers: IncomingHttpHeaders): string {
  return headers[':authority'] ?? headers.host ?? '';
}

/** HTTP/2 itself has the length of a body, and holds Content-Length to it. */
function framingOf(headers: IncomingHttpHeaders, hasBody: boolean): string[] {
  if (headers['content-length'] !== undefined) return [];
  if (hasBody) return ['Transfer-Encoding', 'chunked'];
  return ['POST', 'PUT', 'PATCH'].includes(headers[':method'] ?? '') ? ['Content-Length', '0'] : [];
}

/** HTTP/2 may split cookies over several fields; HTTP/1.1 has one (RFC 9113, section 8.2.3). */
function oneCookie(headers: readonly string[]): string[] {
  const isCookie = ([name]: readonly [string, string]): boolean => name.toLowerCase() === 'cookie';
  const all = [...pairs(headers)];
  const cookies = all.filter(isCookie).map(([, value]) => value);
  if (cookies.length < 2) return [...headers];
  return [...all.filter((one) => !isCookie(one)).flat(), 'Cookie', cookies.join('; ')];
}

async function reply(stream: ServerHttp2Stream, method: string, answer: Answer, running: Running): Promise<void> {
  const isBodiless = method === 'HEAD' || BODILESS.has(answer.status) || answer.isHeadOnly;
  try {
    const head = { ...grouped(answer.headers), ':status': answer.status };
    stream.respond(head, isBodiless ? { endStream: true } : { waitForTrailers: true });
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
  running.entry.status = answer.status;
  answer.body.once('error', () => running.failed());
  if (isBodiless) {
    answer.body.resume();
    return;
  }
  stream.once('wantTrailers', () => sendTrailers(stream, answer.trailers()));
  await pass(answer.body, stream, running, {
    onBytes: (count) => {
      running.entry.bytesOut += count;
    },
  });
}
