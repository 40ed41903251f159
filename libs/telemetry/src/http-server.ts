import { once } from 'node:events';
import { rename, rm, stat } from 'node:fs/promises';
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { HttpAddress } from './http-address.ts';
import { limits } from './limits.ts';
import type { Metrics } from './metrics.ts';

export interface HttpOptions {
  metrics: Metrics;
  /** What is missing for work, in words; empty when the service is ready. */
  notReady: () => string[];
}

/**
 * `/metrics`, `/healthz` and `/readyz`. One request for a connection, a bounded number of them, each with a deadline. Node's HTTP
 * takes some 4 MiB of memory and is loaded with the first request.
 */
export class HttpListener {
  readonly #server: Server;
  readonly #address: HttpAddress;
  #inode: number | undefined;

  private constructor(address: HttpAddress, options: HttpOptions) {
    this.#address = address;
    let http: Promise<HttpServer> | undefined;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      http ??= import('node:http').then(({ createServer: createHttp }) =>
        createHttp({ maxHeaderSize: limits.httpHeadBytes }, (request, response) => answer(request, response, options)),
      );
      void accept(socket, http);
    });
    this.#server.maxConnections = limits.httpConnections;
  }

  /** Rejects with the system's error, such as `EADDRINUSE`. A Unix socket takes the place of one that an earlier process left. */
  static async open(address: HttpAddress, options: HttpOptions): Promise<HttpListener> {
    const listener = new HttpListener(address, options);
    await listener.#listen();
    return listener;
  }

  /** The port taken, for a TCP address. */
  get port(): number | undefined {
    return (this.#server.address() as AddressInfo | null)?.port;
  }

  async close(): Promise<void> {
    this.#server.close();
    if (this.#address.type === 'tcp') return;
    // A successor may have put its own socket there
    const { path } = this.#address;
    const inode = await stat(path).then(
      ({ ino }) => ino,
      () => undefined,
    );
    if (inode === this.#inode) await rm(path, { force: true });
  }

  async #listen(): Promise<void> {
    if (this.#address.type === 'tcp') {
      this.#server.listen({ host: this.#address.host, port: this.#address.port });
      await once(this.#server, 'listening');
      return;
    }
    // Bound beside its place and moved there: a predecessor's socket answers until ours does, and its end takes nothing away
    const { path } = this.#address;
    const own = `${path}.${process.pid}`;
    await rm(own, { force: true });
    this.#server.listen({ path: own });
    await once(this.#server, 'listening');
    this.#inode = (await stat(own)).ino;
    await rename(own, path);
  }
}

async function accept(socket: Socket, http: Promise<HttpServer>): Promise<void> {
  const deadline = setTimeout(() => socket.destroy(), limits.httpConnectionMs);
  socket.once('close', () => clearTimeout(deadline));
  // Whoever breaks off has said all there is to say
  socket.on('error', () => socket.destroy());
  (await http).emit('connection', socket);
  socket.resume();
}

interface Answer {
  status: number;
  body: string;
  type?: string;
}

function answer(request: IncomingMessage, response: ServerResponse, options: HttpOptions): void {
  const { status, body, type = 'text/plain; charset=utf-8' } = answerOrWhyNot(request, options);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), Connection: 'close' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** What looks at the process needs file descriptors, and there may be none left: who asks then hears that, and the service goes on. */
function answerOrWhyNot(request: IncomingMessage, options: HttpOptions): Answer {
  try {
    return answerTo(request, options);
  } catch (error) {
    return { status: 500, body: `not to be had now: ${(error as Error).message}\n` };
  }
}

function answerTo({ method, url = '' }: IncomingMessage, { metrics, notReady }: HttpOptions): Answer {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET and HEAD\n' };
  switch (url.split('?')[0]) {
    case '/metrics':
      return { status: 200, body: metrics.expose(), type: 'text/plain; version=0.0.4; charset=utf-8' };
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/readyz': {
      const missing = notReady();
      return missing.length === 0 ? { status: 200, body: 'ready\n' } : { status: 503, body: `${missing.join('\n')}\n` };
    }
    default:
      return { status: 404, body: 'there are /metrics, /healthz and /readyz\n' };
  }
}
