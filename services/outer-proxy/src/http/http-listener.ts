import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { Acceptor, type Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import type { Front } from './front.ts';
import type { H2c } from './h2c.ts';
import { createHttp1 } from './http1.ts';
import type { OnRequestEnd, RequestEntry } from './request-entry.ts';
import { RouteTable } from './route-table.ts';
import type { Target } from './target.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

/** What a connection of HTTP/2 starts with, as far as no method of HTTP/1.1 does. */
const PREFACE = 'PRI';

export interface HttpListenerTools {
  readonly relay: Relay;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly onRequestEnd: OnRequestEnd;
  readonly trusted: TrustedProxies | undefined;
}

/** One address on which clients speak HTTP/1.1, or HTTP/2 in clear by prior knowledge, with the enclaves behind it. */
export class HttpListener implements Front {
  readonly routes = new RouteTable();
  readonly relay: Relay;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly onRequestEnd: OnRequestEnd;
  readonly trusted: TrustedProxies | undefined;
  readonly port: number;
  readonly #acceptor: Acceptor;
  readonly #http1: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections that have not said what they speak. */
  readonly #silent = new Set<Socket>();
  readonly #empty = Promise.withResolvers<void>();
  #h2c: Promise<H2c> | undefined;
  #closed: Promise<void> | undefined;

  /** `at.descriptor`: a socket that listens there already, which stays the caller's. @throws VsockError, as `Relay.listen` */
  constructor(tools: HttpListenerTools, at: { host: string; port: number; descriptor?: number | undefined }) {
    this.relay = tools.relay;
    this.logger = tools.logger;
    this.limits = tools.limits;
    this.onRequestEnd = tools.onRequestEnd;
    this.trusted = tools.trusted;
    this.port = at.port;
    this.#http1 = createHttp1(this);
    // It has connections without listening itself: at this event Node begins to look for those that are slow
    this.#http1.emit('listening');
    this.#acceptor = new Acceptor({ type: 'tcp', reusePort: true, ...at }, (fd) => this.#accept(fd));
  }

  /** The listening socket. */
  get descriptor(): number {
    return this.#acceptor.descriptor;
  }

  get acceptErrors(): number {
    return this.#acceptor.acceptErrors;
  }

  get isDraining(): boolean {
    return this.#closed !== undefined;
  }

  get keepsAlive(): boolean {
    return !this.isDraining && !this.#isCrowded;
  }

  find(entry: RequestEntry, host: string, path: string): Target {
    const target = this.routes.find(host, path);
    entry.enclave = target;
    if (this.#isCrowded && this.routes.hasItsPart(target, this.limits.httpCrowded)) throw target.busy(entry);
    return target;
  }

  /**
   * Accepts no more, and ends connections after the request that they carry. Those that carry none may begin one for a moment: a
   * client that is just sending it sees an answer, and no reset. What is left after `drainMs` is cut. `shared`: another process
   * goes on at the same socket.
   */
  close({ drainMs, shared }: { drainMs: number; shared: boolean }): Promise<void> {
    this.#closed ??= this.#close(drainMs, shared);
    return this.#closed;
  }

  get #isCrowded(): boolean {
    return this.#sockets.size > this.limits.httpCrowded;
  }

  async #close(drainMs: number, shared: boolean): Promise<void> {
    this.#acceptor.close({ shared });
    const lastCall = setTimeout(
      () => {
        this.#http1.closeIdleConnections();
        for (const socket of this.#silent) socket.destroy();
      },
      Math.min(drainMs, this.limits.httpLastCallMs),
    );
    const late = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
      void this.#h2c?.then((h2c) => h2c.cut());
    }, drainMs);
    void this.#h2c?.then((h2c) => h2c.drain());
    if (this.#sockets.size > 0) await this.#empty.promise;
    clearTimeout(lastCall);
    clearTimeout(late);
    // For what it keeps besides: its look at slow connections
    this.#http1.close();
  }

  #accept(fd: number): void {
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    if (this.#sockets.size >= this.limits.ingressConnections) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.isDraining && this.#sockets.size === 0) this.#empty.resolve();
    });
    this.#sniff(socket);
  }

  /** Connections that begin as no HTTP/1.1 does go to the server for HTTP/2. */
  #sniff(socket: Socket): void {
    const late = setTimeout(() => socket.destroy(), this.limits.httpKeepAliveMs);
    this.#silent.add(socket);
    let start: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      start = start.length === 0 ? chunk : Buffer.concat([start, chunk]);
      const text = start.toString('latin1', 0, PREFACE.length);
      if (text.length < PREFACE.length && PREFACE.startsWith(text)) return;
      settle();
      socket.pause();
      socket.unshift(start);
      if (text === PREFACE) {
        void this.#serveH2c(socket);
        return;
      }
      this.#http1.emit('connection', socket);
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
