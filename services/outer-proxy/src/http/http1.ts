import { createServer, type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  endToEnd,
  flushSoon,
  framingOf,
  HttpFault,
  hasBody,
  isDoubtful,
  pairs,
  pass,
  pipelines,
  rawHead,
} from '@enclaver/http-forward';
import { hostOf, targetOf } from './authority.ts';
import { withForwarded } from './forwarded.ts';
import type { Front } from './front.ts';
import { type Answer, type Asked, clientOf } from './message.ts';
import { entryOf, type RequestEntry } from './request-entry.ts';
import { connectRefused, RequestError, requestErrorOf, tooLarge } from './request-error.ts';
import type { Running } from './running.ts';
import { trailersOf } from './trailers.ts';
import type { Upgraded } from './upstream.ts';

/** What a client is answered whose bytes are no request, by Node's code for it. */
const FAULTS: Readonly<Record<string, RequestError>> = {
  HPE_HEADER_OVERFLOW: tooLarge(),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new RequestError(413, 'REQUEST_TOO_LARGE', 'the chunk extensions are too long'),
  ERR_HTTP_REQUEST_TIMEOUT: new RequestError(408, 'REQUEST_TIMEOUT', 'the head of the request took too long'),
};
const INVALID = new RequestError(400, 'REQUEST_INVALID', 'the bytes are no HTTP/1.1 request');

/** Serves HTTP/1.1. It reads strictly: what could be read in two ways is refused, and its connection closed. */
export function createHttp1(front: Front): Server {
  const pipelineOf = pipelines(front.limits.httpStreams);
  const server = createServer({
    maxHeaderSize: front.limits.httpHeaderBytes,
    insecureHTTPParser: false,
    // framing.ts asks for one: Node would refuse the request and go on with the next, wherever that begins
    requireHostHeader: false,
    headersTimeout: front.limits.httpHeadersMs,
    // Uploads may take any time; one that stands still is cut
    requestTimeout: 0,
    keepAliveTimeout: front.limits.httpKeepAliveMs,
    connectionsCheckingInterval: 5_000,
    noDelay: true,
    keepAlive: true,
    shouldUpgradeCallback: asksForUpgrade,
  });
  // Node would leave out what is above its count, a Content-Length perhaps; we refuse
  server.maxHeadersCount = 0;
  server.timeout = front.limits.httpIdleMs;
  const serve = (request: IncomingMessage, response: ServerResponse, onContinue?: () => void): void => {
    pipelineOf(request.socket).add(() => void serveRequest(front, request, response, onContinue), response);
  };
  server.on('request', (request, response) => serve(request, response));
  server.on('checkContinue', (request, response) => serve(request, response, () => response.writeContinue()));
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    pipelineOf(socket).addLast(() => void serveUpgrade(front, request, socket, head));
  });
  server.on('connect', (request, socket) => {
    socket.on('error', () => socket.destroy());
    pipelineOf(socket).addLast(() => refuse(front, socket, entryOfRequest(front, request), connectRefused()));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const pipeline = pipelineOf(socket);
    const { current } = pipeline;
    const isOfCurrent = current?.req.complete === false;
    if ((isOfCurrent && current.headersSent) || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const answer = (): void => refuse(front, socket, entryOf(clientOf(socket)), FAULTS[error.code ?? ''] ?? INVALID);
    if (isOfCurrent) return answer();
    pipeline.dropPart();
    pipeline.add(answer);
  });
  return server;
}

/** Others are answered as if they had not asked, which HTTP allows: a body is read, and h2c has no such way in any more. */
function asksForUpgrade(request: IncomingMessage): boolean {
  const { method, headers } = request;
  return method === 'GET' && !hasBody(request) && headers.upgrade?.trim().toLowerCase() !== 'h2c';
}

async function serveRequest(
  front: Front,
  request: IncomingMessage,
  response: ServerResponse,
  onContinue: (() => void) | undefined,
): Promise<void> {
  const entry = entryOfRequest(front, request);
  try {
    const asked = askedOf(front, request, entry, onContinue);
    await front.find(entry, hostOf(asked.authority), asked.target).run(entry, async (running) => {
      endWithClient(response, running);
      if (asked.body !== undefined) cutStandstill(front, request, response, running);
      await reply(front, await running.ask(asked), response, running);
    });
  } catch (error) {
    if (isDoubtful(request)) response.shouldKeepAlive = false;
    answerError(front, request, response, entry, error);
  }
  front.onRequestEnd(entry);
}

async function serveUpgrade(front: Front, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const entry = entryOfRequest(front, request);
  try {
    const asked = askedOf(front, request, entry);
    await front.find(entry, hostOf(asked.authority), asked.target).run(entry, async (running) => {
      const onGone = (): void => running.abort();
      socket.once('close', onGone);
      const answered = await running.upgrade(asked, request.headers.upgrade ?? '');
      if ('stream' in answered) {
        socket.off('close', onGone);
        await join(front, running, { stream: socket, head }, answered);
        return;
      }
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket as Socket);
      response.once('finish', () => socket.end());
      await reply(front, answered, response, running);
    });
  } catch (error) {
    // What has begun must not look like a whole answer
    if (entry.status !== 0) socket.destroy();
    else if (!socket.destroyed) answerRaw(socket, entry, requestErrorOf(front, error));
  }
  front.onRequestEnd(entry);
}

/** From here on the bytes pass by the relay, in turn with all others of the enclave. */
async function join(
  { relay }: Front,
  running: Running,
  client: { stream: Duplex; head: Buffer },
  { stream, first, headers }: Upgraded,
): Promise<void> {
  const { entry, share } = running;
  entry.status = 101;
  client.stream.write(rawHead('HTTP/1.1 101 Switching Protocols', headers), 'latin1');
  const cut = new AbortController();
  running.addEventListener('abort', () => cut.abort());
  if (running.aborted) cut.abort();
  const { signal } = cut;
  try {
    const { bytesAToB, bytesBToA } = await relay.join(client, { stream, head: first }, { signal, group: share.group });
    entry.bytesIn = bytesAToB;
    entry.bytesOut = bytesBToA;
  } finally {
    // Still ours where the relay has taken nothing, since the client broke off meanwhile
    stream.destroy();
  }
}

function entryOfRequest({ trusted }: Front, { socket, method, headers, url }: IncomingMessage): RequestEntry {
  const peer = clientOf(socket);
  return entryOf(trusted?.clientOf(peer, headers) ?? peer, method, headers.host, url);
}

/** @throws RequestError, HttpFault 400 */
function askedOf({ limits }: Front, request: IncomingMessage, entry: RequestEntry, onContinue?: () => void): Asked {
  const framing = framingOf(request);
  if (request.rawHeaders.length > limits.httpHeaders * 2) throw tooLarge();
  const authority = request.headers.host ?? '';
  // Framing of its own follows; Expect is for this connection, unless the enclave is to answer it
  const passed = endToEnd(request.rawHeaders, ['host', ...(onContinue ? [] : ['expect'])]);
  return {
    method: request.method ?? 'GET',
    authority,
    target: targetOf(request.method ?? '', request.url ?? '', authority),
    headers: withForwarded(passed, authority, entry.client),
    framing,
    body: hasBody(request) ? request : undefined,
    trailers: () => trailersOf(request.rawTrailers),
    onBody: (count) => {
      entry.bytesIn += count;
    },
    ...(onContinue ? { onContinue } : {}),
  };
}

function endWithClient(response: ServerResponse, running: Running): void {
  response.once('close', () => {
    if (!response.writableFinished) running.abort();
  });
}

/** While a body is on its way, something has to move. Node tells the response of it also when all of the body has arrived here. */
function cutStandstill({ limits }: Front, request: IncomingMessage, response: ServerResponse, running: Running): void {
  const { socket } = request;
  const onTimeout = (): void => {
    if (running.stoodStill(request.complete || request.readableLength > 0)) socket.setTimeout(limits.httpBodyMs);
  };
  socket.setTimeout(limits.httpBodyMs);
  response.on('timeout', onTimeout);
  request.once('end', () => {
    response.off('timeout', onTimeout);
    // After the answer it is a kept connection, whose time runs already
    if (!response.writableFinished) socket.setTimeout(limits.httpIdleMs);
  });
}

async function reply(front: Front, answer: Answer, response: ServerResponse, running: Running): Promise<void> {
  const { entry } = running;
  response.sendDate = false;
  if (!front.keepsAlive) response.shouldKeepAlive = false;
  try {
    response.writeHead(answer.status, answer.reason, answer.headers);
  } catch (cause) {
    answer.body.destroy();
    throw new HttpFault(502, 'the head of the answer cannot be written', { cause });
  }
  entry.status = answer.status;
  answer.body.once('error', () => running.failed());
  if (!answer.isWhole) flushSoon(response);
  await pass(answer.body, response, running, {
    onBytes: (count) => {
      entry.bytesOut += count;
    },
    onEnd: () => {
      const trailers = answer.trailers();
      if (trailers.length > 0) response.addTrailers([...pairs(trailers)]);
    },
  });
}

function answerError(
  front: Front,
  request: IncomingMessage,
  response: ServerResponse,
  entry: RequestEntry,
  cause: unknown,
): void {
  if (response.headersSent || response.destroyed) {
    // What has begun must not look like a whole answer
    response.destroy();
    return;
  }
  const error = requestErrorOf(front, cause);
  const { headers, body } = error.answer();
  // The rest of a body that nobody wants is not waited for
  if (!request.complete || !front.keepsAlive) response.shouldKeepAlive = false;
  response.writeHead(error.status, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
  error.note(entry);
}

/** In the place of an answer to what nobody is asked for. */
function refuse(front: Front, socket: Duplex, entry: RequestEntry, error: RequestError): void {
  answerRaw(socket, entry, error);
  front.onRequestEnd(entry);
}

/** On a connection that Node's server has let go of. */
function answerRaw(socket: Duplex, entry: RequestEntry, error: RequestError): void {
  const { headers, body } = error.answer();
  const date = new Date().toUTCString();
  const head = rawHead(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`, [
    ...headers,
    ...['Date', date, 'Connection', 'close'],
  ]);
  socket.end(Buffer.concat([Buffer.from(head, 'latin1'), body]));
  error.note(entry);
}
