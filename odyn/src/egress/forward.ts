import { type ClientRequest, request as httpRequest, type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';
import type { Relay, VsockStream } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { answer, answerRaw, refusalOf } from './answers.ts';
import { type Gate, Refusal } from './gate.ts';
import { endToEnd } from './headers.ts';
import { type ForwardTarget, forwardTarget } from './request-target.ts';
import { joinStreams } from './tunnel.ts';

/** Methods that need no length when they have no body. */
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** Connections on which a request could be read in two ways: nobody knows where the next one begins (RFC 9112, section 6.3). */
const doubtful = new WeakSet<Socket>();

/** Carries out a request in absolute form: one connection to the destination for each. */
export async function forward(gate: Gate, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Node has read it out of the same bytes before the connection was closed
  if (doubtful.has(request.socket)) return;
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const upstream = await open(gate, request, gone.signal, []);
    pipeline(request, upstream, (error) => {
      if (error) upstream.destroy();
    });
    gone.signal.addEventListener('abort', () => upstream.destroy());
    reply(await answerOf(upstream), response);
  } catch (error) {
    const { status, text } = refusalOf(error);
    if (doubtful.has(request.socket)) response.shouldKeepAlive = false;
    if (response.headersSent || response.destroyed) response.destroy();
    else answer(request, response, status, text);
  }
}

/** Carries out a request that asks for another protocol, such as WebSocket: joins both sides when the server agrees. */
export async function forwardUpgrade(
  gate: Gate,
  relay: Relay,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  socket.on('error', () => socket.destroy());
  socket.once('close', onGone);
  try {
    const asked = ['Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? ''];
    const upstream = await open(gate, request, gone.signal, asked);
    gone.signal.addEventListener('abort', () => upstream.destroy());
    upstream.on('upgrade', (answered: IncomingMessage, stream: Duplex, first: Buffer) => {
      socket.off('close', onGone);
      const headers = [
        ...endToEnd(answered.rawHeaders),
        'Connection',
        'Upgrade',
        'Upgrade',
        answered.headers.upgrade ?? '',
      ];
      socket.write(rawHead(`HTTP/1.1 101 ${answered.statusMessage ?? ''}`, headers));
      void joinStreams(relay, { stream: socket, head }, { stream, head: first });
    });
    upstream.end();
    const answered = await answerOf(upstream);
    if (answered === undefined) return;
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.once('finish', () => socket.end());
    reply(answered, response);
  } catch (error) {
    const { status, text } = refusalOf(error);
    if (!socket.destroyed) answerRaw(socket, status, text);
  }
}

/** The request to the destination, its body still to be written. @throws Refusal, DestinationError */
async function open(
  gate: Gate,
  request: IncomingMessage,
  signal: AbortSignal,
  hopHeaders: readonly string[],
): Promise<ClientRequest> {
  const framing = framingOf(request);
  const target = forwardTarget(request.method ?? '', request.url ?? '');
  const { stream, head } = await gate.open(target.destination, signal);
  if (head.length > 0) {
    stream.destroy();
    throw new Refusal(502, 'the server spoke before it was asked');
  }
  return requestOver(stream, request, target, [...hopHeaders, ...framing]);
}

function requestOver(
  stream: VsockStream,
  request: IncomingMessage,
  { path, hostHeader }: ForwardTarget,
  ownHeaders: readonly string[],
): ClientRequest {
  // Expect: Node's server has answered it. Content-Length stays with the other headers.
  const headers = [
    'Host',
    hostHeader,
    ...endToEnd(request.rawHeaders, ['host', 'expect', 'http2-settings']),
    ...ownHeaders,
  ];
  if (!ownHeaders.includes('Connection')) headers.push('Connection', 'close');
  const upstream = httpRequest({
    method: request.method ?? 'GET',
    path,
    headers,
    createConnection: () => stream,
    maxHeaderSize: limits.egressHeaderBytes * 4,
    setHost: false,
  });
  // The stream was paused by hand, and then a listener alone does not make it flow
  upstream.once('socket', () => stream.resume());
  // Node would leave out what is above its count
  upstream.maxHeadersCount = 0;
  return upstream;
}

/** How the body is framed on the next connection: as it came, and never twice. @throws Refusal */
function framingOf(request: IncomingMessage): string[] {
  // Without a version (HTTP/0.9) a request has neither headers nor framing; Node reads them all the same
  if (request.httpVersionMajor !== 1) throw doubt(request, 'HTTP other than 1.0 and 1.1');
  const encoding = request.headers['transfer-encoding'];
  if (encoding === undefined) {
    const unsaid = request.headers['content-length'] === undefined && !BODILESS.has(request.method ?? '');
    return unsaid ? ['Content-Length', '0'] : [];
  }
  if (!isChunked(encoding) || request.headers['content-length'] !== undefined) {
    throw doubt(request, 'Transfer-Encoding other than chunked, or with Content-Length');
  }
  return ['Transfer-Encoding', 'chunked'];
}

function doubt(request: IncomingMessage, found: string): Refusal {
  doubtful.add(request.socket);
  return new Refusal(400, found);
}

function isChunked(encoding: string): boolean {
  return encoding.trim().toLowerCase() === 'chunked';
}

/** The server's answer; undefined when it agreed to the other protocol. @throws Refusal 502 */
function answerOf(upstream: ClientRequest): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    upstream.once('response', (answered: IncomingMessage) => {
      // The header ends here, and without it nobody could read the body
      if (isChunked(answered.headers['transfer-encoding'] ?? 'chunked')) return resolve(answered);
      upstream.destroy();
      reject(new Refusal(502, 'the server broke off: its Transfer-Encoding is not chunked'));
    });
    upstream.once('upgrade', () => resolve(undefined));
    upstream.on('error', (cause) => reject(new Refusal(502, `the server broke off: ${cause.message}`, { cause })));
  });
}

function reply(answered: IncomingMessage | undefined, response: ServerResponse): void {
  // Only for a request that did not ask for it: Node gives no other event then
  if (answered === undefined) {
    response.destroy();
    return;
  }
  response.sendDate = false;
  response.writeHead(answered.statusCode ?? 502, answered.statusMessage ?? '', endToEnd(answered.rawHeaders));
  pipeline(answered, response, (error) => {
    if (error) response.destroy();
  });
}

function rawHead(firstLine: string, headers: readonly string[]): string {
  const lines = [firstLine];
  for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
