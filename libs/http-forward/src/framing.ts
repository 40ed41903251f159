import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { HttpFault } from './http-fault.ts';

/** Methods that need no length when they have no body. */
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** Connections on which a request could be read in two ways: nobody knows where the next one begins (RFC 9112, section 6.3). */
const doubtful = new WeakSet<Socket>();

export function isDoubtful({ socket }: IncomingMessage): boolean {
  return doubtful.has(socket);
}

/** Headers that frame the body on the next connection: as it came, and never twice. @throws HttpFault 400 */
export function framingOf(request: IncomingMessage): string[] {
  const hosts = checkHosts(request);
  // Without a version (HTTP/0.9) a request has neither headers nor framing; Node reads them all the same
  if (request.httpVersionMajor !== 1) throw doubt(request, 'HTTP other than 1.0 and 1.1');
  if (hosts === 0 && request.httpVersionMinor !== 0) throw doubt(request, 'no Host');
  if (!isCountable(request)) throw doubt(request, 'a Content-Length that nobody can count');
  const encoding = request.headers['transfer-encoding'];
  if (encoding === undefined) {
    const unsaid = request.headers['content-length'] === undefined && !BODILESS.has(request.method ?? '');
    return unsaid ? ['Content-Length', '0'] : [];
  }
  if (request.httpVersionMinor === 0) throw doubt(request, 'Transfer-Encoding in HTTP/1.0');
  if (!isChunked(encoding) || request.headers['content-length'] !== undefined) {
    throw doubt(request, 'Transfer-Encoding other than chunked, or with Content-Length');
  }
  return ['Transfer-Encoding', 'chunked'];
}

/** A CONNECT has no body: what follows its head belongs to the tunnel. @throws HttpFault 400 */
export function checkConnect(request: IncomingMessage): void {
  checkHosts(request);
  if (hasBody(request)) throw doubt(request, 'a CONNECT has no body');
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** Blanks are those of HTTP: with others beside it, such as a no-break space, Node reads another coding. */
export function isChunked(encoding: string): boolean {
  return /^[\t ]*chunked[\t ]*$/i.test(encoding);
}

/** Beyond it Node and other readers count wrongly, or over the end of their numbers. */
export function isCountable({ headers }: IncomingMessage): boolean {
  return Number(headers['content-length'] ?? 0) <= Number.MAX_SAFE_INTEGER;
}

/** How many there are: Node keeps the first of several. */
function checkHosts(request: IncomingMessage): number {
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) throw doubt(request, 'more than one Host');
  return hosts.length;
}

function doubt(request: IncomingMessage, found: string): HttpFault {
  doubtful.add(request.socket);
  return new HttpFault(400, found);
}
