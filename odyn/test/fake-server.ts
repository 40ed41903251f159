import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsPair } from '@enclaver/kms-emulator';

export type Answerer = (
  request: IncomingMessage,
  body: string,
) => { status: number; body?: string | Buffer; headers?: Record<string, string> } | undefined;

/** A server that answers by a function; undefined leaves the request without an answer. */
export class FakeServer {
  readonly asked: string[] = [];
  answer: Answerer;
  readonly #server: Server;

  constructor(answer: Answerer, tls?: TlsPair) {
    this.answer = answer;
    const serve = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** As a server does that has enough of idle ones. */
  closeConnections(): void {
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const part of request) body += String(part);
    this.asked.push(`${request.method} ${request.url}`);
    const answer = this.answer(request, body);
    if (answer === undefined) return;
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }
}
