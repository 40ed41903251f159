import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { endToEnd } from '@enclaver/http-forward';
import { limits } from '../../limits.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.1';

/** An error in the form of KMS, which every SDK reads. */
export interface ErrorAnswer {
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

/** Answers with status and headers of KMS, and this body. */
export function respond(response: ServerResponse, answered: IncomingMessage, body: Buffer): void {
  const headers = endToEnd(answered.rawHeaders);
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.toLowerCase() !== 'content-length') kept.push(headers[i] ?? '', headers[i + 1] ?? '');
  }
  kept.push('Content-Length', String(body.length));
  response.sendDate = false;
  response.writeHead(answered.statusCode ?? 502, kept);
  response.end(body);
}

/** Answers with an error of our own, and keeps the connection when the request has been read. */
export function respondError(request: IncomingMessage, response: ServerResponse, error: ErrorAnswer): void {
  const body = bodyOf(error);
  response.writeHead(error.status, {
    ...headersOf(error),
    'content-length': body.length,
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The same on a connection that Node's server has let go of. */
export function respondErrorRaw(socket: Duplex, error: ErrorAnswer): void {
  const body = bodyOf(error);
  const headers = { ...headersOf(error), 'content-length': body.length, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** What is answered to bytes that Node's parser refuses, by its code. */
export function unreadable(code: string | undefined): ErrorAnswer {
  const type = 'ValidationException';
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { status: 431, type, message: `the headers have more than ${limits.kmsHeaderBytes} bytes` };
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: 408, type, message: `the request took more than ${limits.kmsRequestMs / 1000} s` };
  }
  return { status: 400, type, message: 'this is no HTTP request that can be read' };
}

function bodyOf({ type, message }: ErrorAnswer): Buffer {
  return Buffer.from(JSON.stringify({ __type: type, message }));
}

function headersOf({ type }: ErrorAnswer): Record<string, string> {
  return { 'content-type': CONTENT_TYPE, 'x-amzn-errortype': type, 'x-amzn-requestid': randomUUID() };
}
