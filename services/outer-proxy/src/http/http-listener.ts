import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import { duplicateDescriptor, type Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import type { Front } from './front.ts';
import type { H2c } from './h2c.ts';
import { createHttp1 } from './http1.ts';
import { RouteTable } from './route-table.ts';

/** What a connection of HTTP/2 starts with, as far as no method of HTTP/1.1 does. */
const PREFACE = 'PRI';

/** One address on which clients speak HTTP/1.1, or HTTP/2 in clear by prior knowledge, with the enclaves behind it. */
export class HttpListener implements Front {
  readonly routes = new RouteTable();
  readonly relay: Relay;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly #http1: Server;
  /** Connections that have not said what they speak. */
  readonly #silent = new Set<Socket>();
  #h2c: Promise<H2c> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(relay: Relay, logger: Logger, limits: Limits) {
    this.relay = relay;
    this.logger = logger;
    this.limits = limits;
    this.#http1 = createHttp1(this);
    this.#sniff();
  }

  /** `at.descriptor`: a socket that listens there already, which stays the caller's. Throws what `listen` gives. */
  static async open(
    relay: Relay,
    logger: Logger,
    limits: Limits,
    at: { host: string; port: number; descriptor?: number | undefined },
  ): Promise<HttpListener> {
    const { host, port, descriptor } = at;
    const listener = new HttpListener(relay, logger, limits);
    const place = descriptor === undefined ? { host, port, reusePort: true } : { fd: duplicateDescriptor(descriptor) };
    listener.#http1.listen({ ...place, backlog: listener.limits.httpBacklog });
    await once(listener.#http1, 'listening');
    listener.#http1.on('error', (error) => logger.error({ err: error, host, port }, 'HTTP listener failed'));
    return listener;
  }

  /** The listening socket. */
  get descriptor(): number {
    // Not a public interface of Node: without it the socket cannot be shared
    const handle = (this.#http1 as unknown as { _handle?: { fd?: number } | null })._handle;
    return handle?.fd ?? -1;
  }

  get port(): number {
    return (this.#http1.address() as AddressInfo).port;
  }

  /**
   * Accepts no more, and ends connections after the request that they carry. Those that carry none may begin one for a moment: a
   * client that is just sending it sees an answer, and no reset. What is left after `drainMs` is cut.
   */
  close(drainMs: number): Promise<void> {
    this.#closed ??= this.#close(drainMs);
    return this.#closed;
  }

  get isDraining(): boolean {
    return this.#closed !== undefined;
  }

  async #close(drainMs: number): Promise<void> {
    const closed = once(this.#http1, 'close');
    // http.Server's own close() cuts idle connections at once
    NetServer.prototype.close.call(this.#http1);
    const lastCall = setTimeout(
      () => {
        this.#http1.closeIdleConnections();
        for (const socket of this.#silent) socket.destroy();
      },
      Math.min(drainMs, this.limits.httpLastCallMs),
    );
    const late = setTimeout(() => {
      this.#http1.closeAllConnections();
      void this.#h2c?.then((h2c) => h2c.cut());
    }, drainMs);
    void this.#h2c?.then((h2c) => h2c.drain());
    await closed;
    clearTimeout(lastCall);
    clearTimeout(late);
    // Now only for what it keeps besides: its look at slow connections
    this.#http1.close();
  }

  /** Node's server for HTTP/1.1 has the socket; connections that begin otherwise go to the one for HTTP/2. */
  #sniff(): void {
    const [serve] = this.#http1.listeners('connection') as ((socket: Socket) => void)[];
    this.#http1.removeAllListeners('connection');
    this.#http1.on('connection', (socket: Socket) => {
      const late = setTimeout(() => socket.destroy(), this.limits.httpKeepAliveMs);
      this.#silent.add(socket);
      let start = Buffer.alloc(0);
      const onData = (chunk: Buffer): void => {
        start = Buffer.concat([start, chunk]);
        const text = start.toString('latin1', 0, PREFACE.length);
        if (text.length < PREFACE.length && PREFACE.startsWith(text)) return;
        settle();
        socket.pause();
        socket.unshift(start);
        if (text === PREFACE) {
          void this.#serveH2c(socket);
          return;
        }
        serve?.call(this.#http1, socket);
        process.nextTick(() => socket.resume());
      };
      const onEnd = (): void => {
        settle();
        socket.destroy();
      };
      const settle = (): void => {
        clearTimeout(late);
        this.#silent.delete(socket);
        socket.off('data', onData).off('end', onEnd).off('error', onEnd).off('close', settle);
      };
      socket.on('data', onData).on('end', onEnd).on('error', onEnd).on('close', settle);
    });
  }

  async #serveH2c(socket: Socket): Promise<void> {
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    this.#h2c ??= import('./h2c.ts').then(({ H2c }) => new H2c(this));
    const h2c = await this.#h2c;
    socket.off('error', onError);
    if (!socket.destroyed) h2c.serve(socket);
  }
}
