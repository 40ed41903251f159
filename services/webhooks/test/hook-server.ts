import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface Received {
  id: string;
  enclave: string;
  name: string;
  isSigned: boolean;
  contentType: string | undefined;
}

/** A real HTTP server that takes webhooks, checks their signatures, and answers as it is told. */
export class HookServer implements AsyncDisposable {
  /** Every request that came in, taken or not. */
  readonly received: Received[] = [];
  /** The status for a request; a promise holds the answer back. */
  answer: (received: Received) => number | Promise<number> = () => 204;
  readonly #server: Server;
  readonly #secret: string;
  #wake = Promise.withResolvers<void>();

  private constructor(server: Server, secret: string) {
    this.#server = server;
    this.#secret = secret;
  }

  static async start(secret: string): Promise<HookServer> {
    const http = createServer();
    const server = new HookServer(http, secret);
    http.on('request', (request, response) => {
      void server.#take(request).then((status) => response.writeHead(status).end('thanks'));
    });
    await once(http.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** Resolves once so many requests have come in. */
  async count(wanted: number): Promise<void> {
    while (this.received.length < wanted) await this.#wake.promise;
  }

  async #take(request: IncomingMessage): Promise<number> {
    const body = await buffer(request);
    const header = (name: string): string => String(request.headers[name]);
    const mac = createHmac('sha256', this.#secret)
      .update(`${header('webhook-id')}.${header('webhook-timestamp')}.${body.toString('utf8')}`)
      .digest('base64');
    const event = JSON.parse(body.toString('utf8')) as { id: string; subject: string; type: string };
    const received = {
      id: event.id,
      enclave: event.subject,
      name: event.type.split('.').at(-1) ?? '',
      isSigned: header('webhook-signature') === `v1,${mac}` && header('webhook-id') === event.id,
      contentType: request.headers['content-type'],
    };
    this.received.push(received);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    return await this.answer(received);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
