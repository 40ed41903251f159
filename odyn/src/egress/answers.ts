import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { DestinationError } from '@enclaver/egress-policy';
import { HttpFault } from '@enclaver/http-forward';
import { Refusal } from './gate.ts';

/** What is answered for something thrown on the way out; other things than refusals are faults of ours. */
export function refusalOf(error: unknown): { status: number; text: string } {
  if (error instanceof Refusal || error instanceof HttpFault) return { status: error.status, text: error.message };
  if (error instanceof DestinationError) return { status: 400, text: error.message };
  throw error;
}

/** Answers a request and keeps the client's connection when its body has been read. */
export function answer(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    ...(request.complete ? {} : { Connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Answers on a connection that Node's server has let go of, and closes it. */
export function answerRaw(socket: Duplex, status: number, text: string): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
}
