import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { readTlsFiles, type TlsEntry, type TlsFiles } from './tls-files.ts';

export interface TlsStats {
  active: number;
  accepted: number;
  /** Over the bound on connections. */
  refused: number;
  /** Handshakes that failed or took too long. */
  failedHandshakes: number;
  failedConnects: number;
}

/** Reads what a port needs from the app's root, and listens. Throws VsockError, OdynError. */
export async function openTlsPort(
  transport: VsockTransport,
  port: number,
  tls: TlsEntry,
  { root, log }: { root: string; log: OdynLog },
): Promise<TlsPort> {
  const opened = new TlsPort(port, readTlsFiles(root, port, tls), log);
  await opened.listen(transport);
  return opened;
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

  constructor(port: number, files: TlsFiles, log: OdynLog) {
    this.#port = port;
    this.#log = log;
    this.#server = createServer({
      key: files.key,
      cert: files.certificates,
      minVersion: 'TLSv1.2',
      handshakeTimeout: limits.tlsHandshakeMs,
      allowHalfOpen: true,
      ...(files.clientCa === undefined ? {} : { ca: files.clientCa, requestCert: true, rejectUnauthorized: true }),
      ...(files.alpn.length === 0 ? {} : { ALPNProtocols: [...files.alpn] }),
    });
    this.#server.on('secureConnection', (client) => this.#serve(client));
    this.#server.on('tlsClientError', (error, client) => this.#fail(error, client));
  }

  /** Throws VsockError. */
  async listen(transport: VsockTransport): Promise<void> {
    this.#listener = await transport.listen(this.#port, (stream) => this.#accept(stream));
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
