import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import type { VsockStream } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { isChunked, isCountable } from './framing.ts';
import { type Gate, Refusal } from './gate.ts';
import { endToEnd } from './headers.ts';
import type { ForwardTarget } from './request-target.ts';

/** A new connection to the destination. @throws Refusal */
export async function openStream(gate: Gate, target: ForwardTarget, signal: AbortSignal): Promise<VsockStream> {
  const { stream, head } = await gate.open(target.destination, signal);
  if (head.length === 0) return stream;
  stream.destroy();
  throw new Refusal(502, 'the server spoke before it was asked');
}

/** The request on a connection to its destination, its body still to be written. `ownHeaders` are for that connection. */
export function requestOver(
  stream: VsockStream,
  request: IncomingMessage,
  { path, hostHeader }: ForwardTarget,
  ownHeaders: readonly string[],
): ClientRequest {
  // Expect: Node's server has answered it. Content-Length stays with the other headers.
  const passed = endToEnd(request.rawHeaders, ['host', 'expect', 'http2-settings']);
  const upstream = httpRequest({
    method: request.method ?? 'GET',
    path,
    headers: ['Host', hostHeader, ...passed, ...ownHeaders],
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

/** The server's answer; undefined when it agreed to the other protocol. @throws Refusal 502 */
export function answerOf(upstream: ClientRequest): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    upstream.once('response', (answered: IncomingMessage) => {
      const fault = faultOf(answered);
      if (fault === undefined) return resolve(answered);
      upstream.destroy();
      reject(new Refusal(502, `the server broke off: its ${fault}`));
    });
    upstream.once('upgrade', () => resolve(undefined));
    upstream.on('error', (cause) => reject(new Refusal(502, `the server broke off: ${cause.message}`, { cause })));
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

export function reply(answered: IncomingMessage, response: ServerResponse): void {
  response.sendDate = false;
  response.writeHead(answered.statusCode ?? 502, answered.statusMessage ?? '', endToEnd(answered.rawHeaders));
  pipeline(answered, response, (error) => {
    if (error) response.destroy();
  });
}
