import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { Server, TLSSocket } from 'node:tls';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { TlsFiles } from './tls-files.ts';

export interface TlsStats {
  active: number;
  accepted: number;
  /** Over the bound on connections. */
  refused: number;
  /** Handshakes that failed or took too long. */
  failedHandshakes: number;
  failedConnects: number;
}

/**
 * A port of the parent behind which TLS ends: the app gets plain bytes at the same port. Handshakes go on side by side, each
 * within its time, so that a client that stalls holds up nobody (faults D5, B-7).
 */
export class TlsPort {
  readonly stats: TlsStats = { active: 0, accepted: 0, refused: 0, failedHandshakes: 0, failedConnects: 0 };
  readonly #port: number;
  readonly #server: Server;
  readonly #log: OdynLog;
  readonly #open = new Set<VsockStream>();
  #listener: { close(): Promise<void> } | undefined;

  private constructor(port: number, server: Server, log: OdynLog) {
    this.#port = port;
    this.#server = server;
    this.#log = log;
  }

  /** Throws VsockError. */
  static async open(transport: VsockTransport, port: number, files: TlsFiles, log: OdynLog): Promise<TlsPort> {
    // Not for enclaves without TLS: it costs memory and a quarter of the start
    const { createServer } = await import('node:tls');
    const server = createServer({
      key: files.key,
      cert: files.certificates,
      minVersion: 'TLSv1.2',
      handshakeTimeout: limits.tlsHandshakeMs,
      allowHalfOpen: true,
      ...(files.clientCa === undefined ? {} : { ca: files.clientCa, requestCert: true, rejectUnauthorized: true }),
      ...(files.alpn.length === 0 ? {} : { ALPNProtocols: [...files.alpn] }),
    });
    const opened = new TlsPort(port, server, log);
    server.on('secureConnection', (client) => opened.#serve(client));
    server.on('tlsClientError', (error, client) => opened.#fail(error, client));
    opened.#listener = await transport.listen(port, (stream) => opened.#accept(stream));
    return opened;
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await this.#listener?.close();
    const until = Date.now() + limits.ingressDrainMs;
    while (this.#open.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const stream of this.#open) stream.destroy();
  }

  #accept(stream: VsockStream): void {
    stream.on('error', () => stream.destroy());
    if (this.#open.size >= limits.tlsConnections) {
      this.stats.refused++;
      stream.destroy();
      return;
    }
    this.stats.accepted++;
    this.stats.active++;
    this.#open.add(stream);
    stream.once('close', () => {
      this.stats.active--;
      this.#open.delete(stream);
    });
    // The documented way to give a TLS server a stream that is no socket of Node's
    this.#server.emit('connection', stream);
  }

  #serve(client: TLSSocket): void {
    const app = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => app.destroy(new Error('the app did not accept in time')), limits.ingressConnectMs);
    app.once('connect', () => clearTimeout(timer));
    app.once('error', () => {
      if (app.bytesRead === 0 && app.bytesWritten === 0) this.stats.failedConnects++;
    });
    app.once('close', () => clearTimeout(timer));
    for (const side of [client, app]) idle(side, client, app);
    const over = (): void => {
      client.destroy();
      app.destroy();
    };
    // Each direction ends by itself; an error of one ends both
    pipeline(client, app, (error) => error && over());
    pipeline(app, client, (error) => error && over());
  }

  #fail(error: Error, client: TLSSocket): void {
    this.stats.failedHandshakes++;
    this.#log.debug('TLS handshake failed', { port: this.#port, reason: (error as NodeJS.ErrnoException).code });
    client.destroy();
  }
}

function idle(side: Socket, ...all: readonly Socket[]): void {
  side.setTimeout(limits.ingressIdleMs, () => {
    for (const each of all) each.destroy();
  });
}
