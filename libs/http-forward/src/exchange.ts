import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { Cancel } from './cancel.ts';
import { isChunked, isCountable } from './framing.ts';
import { endToEnd, pairs } from './headers.ts';
import { HttpFault } from './http-fault.ts';
import { pass } from './pass.ts';
import { pour } from './pour.ts';

/** What may be sent again when a kept connection turns out to be closed (RFC 9110, section 9.2.2). */
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** The head of a request as it goes on: origin form, all headers with `Host`, those of the connection left out. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  /** What frames its body: `framingOf`. */
  readonly framing: readonly string[];
}

/** What follows the head of a request. */
export interface RequestBody {
  /** Undefined where there is none. */
  readonly body: Readable | undefined;
  /** Fields behind the body, known at its end; they are passed on where it goes on in chunks. */
  trailers?(): readonly string[];
  /** Told of the bytes of each piece of the body that goes on. */
  onBody?(count: number): void;
  /** The client waits for leave to send its body, and is told so when the server gives it. */
  onContinue?(): void;
}

/** The connections that lead to the server of a request. */
export interface Way {
  /** One that is kept, undefined when there is none. */
  kept(): Duplex | undefined;
  /** Rejects with what the client is to be answered. */
  open(): Promise<Duplex>;
  /** Takes one back after a whole answer; `keepAlive` is the answer's header of that name. */
  keep(stream: Duplex, keepAlive: string | undefined): void;
  /** Largest head of an answer. */
  readonly maxHeaderSize: number;
}

/**
 * Sends a request and gives the head of its answer. One that may be sent twice goes out on a kept connection and again on a
 * new one when the kept one had ended. Aborting `signal` ends all of it.
 * @throws HttpFault 502, and what `way.open` throws
 */
export async function exchange(
  request: RequestBody,
  head: RequestHead,
  way: Way,
  signal: Cancel,
): Promise<IncomingMessage> {
  return (await askAgain(request, head, way, signal)) ?? (await ask(await way.open(), request, head, way, signal));
}

/** Passes an answer on, its end and its breaking off, too. Aborting `signal` breaks it off. */
export function reply(answered: IncomingMessage, response: ServerResponse, signal: Cancel): void {
  response.sendDate = false;
  response.writeHead(answered.statusCode ?? 502, answered.statusMessage ?? '', endToEnd(answered.rawHeaders));
  flushSoon(response);
  pass(answered, response, signal).catch(() => {
    answered.destroy();
    response.destroy();
  });
}

/** Node keeps a head back for the first bytes of the body, which may be long in coming; those that are there go with it. */
export function flushSoon(response: ServerResponse): void {
  setImmediate(() => {
    if (!response.writableEnded && !response.destroyed) response.flushHeaders();
  });
}

/** On a kept connection; undefined when there is none, or when it ended before an answer began. @throws HttpFault 502 */
async function askAgain(
  request: RequestBody,
  head: RequestHead,
  way: Way,
  signal: Cancel,
): Promise<IncomingMessage | undefined> {
  if (!REPEATABLE.has(head.method) || request.body !== undefined) return undefined;
  const stream = way.kept();
  if (stream === undefined) return undefined;
  let isSilent = true;
  const onData = (): void => {
    isSilent = false;
  };
  stream.once('data', onData);
  try {
    return await ask(stream, request, head, way, signal);
  } catch (error) {
    if (isSilent && !signal.aborted) return undefined;
    throw error;
  } finally {
    stream.off('data', onData);
  }
}

/** @throws HttpFault 502 */
async function ask(
  stream: Duplex,
  { body, trailers, onBody, onContinue }: RequestBody,
  head: RequestHead,
  way: Way,
  signal: Cancel,
): Promise<IncomingMessage> {
  const upstream = requestOver(stream, head, ['Connection', 'keep-alive'], way.maxHeaderSize);
  // Without an agent of its own Node would close after the answer
  upstream.shouldKeepAlive = true;
  const onGone = (): void => void upstream.destroy();
  signal.addEventListener('abort', onGone);
  if (signal.aborted) onGone();
  if (onContinue !== undefined) {
    upstream.once('continue', onContinue);
    upstream.flushHeaders();
  }
  if (body !== undefined) {
    // Before the listener that ends the request
    if (trailers !== undefined) body.once('end', () => upstream.addTrailers([...pairs(trailers())]));
    pour(body, upstream, onBody);
  } else {
    upstream.end();
  }
  const answered = await answerOf(upstream);
  // Only for a request that did not ask for it: Node gives no other event then, and leaves the connection to who hears that one
  if (answered === undefined) {
    stream.destroy();
    throw new HttpFault(502, 'the server broke off: it changed to another protocol unasked');
  }
  keep(stream, answered, way);
  return answered;
}

/** Node says `free` when request and answer are whole, and neither side wants the connection closed. */
function keep(stream: Duplex, answered: IncomingMessage, way: Way): void {
  // Before Node's own listener: what comes behind the answer was not asked for, and nobody knows what it belongs to
  const onData = (): void => {
    if (answered.complete) stream.destroy();
  };
  stream.prependListener('data', onData);
  stream.once('free', () => {
    stream.off('data', onData);
    way.keep(stream, answered.headers['keep-alive']?.toString());
  });
}

/** The request on a connection to its server, its body still to be written. `ownHeaders` are for that connection. */
export function requestOver(
  stream: Duplex,
  { method, path, headers, framing }: RequestHead,
  ownHeaders: readonly string[],
  maxHeaderSize: number,
): ClientRequest {
  const upstream = httpRequest({
    method,
    path,
    headers: [...headers, ...ownHeaders, ...framing],
    createConnection: () => stream,
    maxHeaderSize,
    setHost: false,
  });
  // The stream was paused by hand, and then a listener alone does not make it flow
  upstream.once('socket', () => stream.resume());
  // Node would leave out what is above its count
  upstream.maxHeadersCount = 0;
  return upstream;
}

/** The server's answer; undefined when it agreed to the other protocol. @throws HttpFault 502 */
export function answerOf(upstream: ClientRequest): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new HttpFault(502, 'the server broke off: there is no answer to the request'));
    upstream.once('response', (answered: IncomingMessage) => {
      // An error that nobody gets costs its stack for each request
      upstream.off('close', onClose);
      const fault = faultOf(answered);
      if (fault === undefined) return resolve(answered);
      upstream.destroy();
      reject(new HttpFault(502, `the server broke off: its ${fault}`));
    });
    upstream.once('upgrade', () => resolve(undefined));
    upstream.on('error', (cause) => reject(new HttpFault(502, `the server broke off: ${cause.message}`, { cause })));
    // Where Node gives none of these, as to a CONNECT that nobody tunnels
    upstream.once('close', onClose);
  });
}

/** Why an answer cannot be passed on. Node's reader takes more in a status line than its writer does. */
function faultOf(answered: IncomingMessage): string | undefined {
  const { statusCode = 0, statusMessage = '', headers } = answered;
  if (statusCode < 100) return 'status is none';
  if (/[^\t\x20-\x7e\x80-\xff]/.test(statusMessage)) return 'reason is no text';
  if (!isCountable(answered)) return 'Content-Length is one that nobody can count';
  // The header ends here, and without it nobody could read the body
  return isChunked(headers['transfer-encoding'] ?? 'chunked') ? undefined : 'Transfer-Encoding is not chunked';
}
