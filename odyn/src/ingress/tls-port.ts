import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Tls } from '@enclaver/manifest';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { AcmeChallenges } from './acme-challenges.ts';
import { readFirst } from './certificates/files.ts';
import { openSource } from './certificates/open-source.ts';
import type { CertificateSource, SourceContext } from './certificates/source.ts';
import { Identities } from './identities.ts';

export interface TlsStats {
  active: number;
  accepted: number;
  /** Over the bound on connections. */
  refused: number;
  /** Handshakes that failed or took too long. */
  failedHandshakes: number;
  /** Handshakes that went on with an earlier session. */
  resumed: number;
  failedConnects: number;
}

/**
 * A port of the parent behind which TLS ends: the app gets plain bytes at the same port. Handshakes go on side by side, each
 * within its time, so that a client that stalls holds up nobody (faults D5, B-7).
 */
export class TlsPort {
  readonly stats: TlsStats = { active: 0, accepted: 0, refused: 0, failedHandshakes: 0, resumed: 0, failedConnects: 0 };
  readonly #port: number;
  readonly #sources: readonly CertificateSource[];
  readonly #identities: Identities;
  readonly #challenges: AcmeChallenges;
  readonly #server: Server;
  readonly #log: OdynLog;
  readonly #open = new Set<VsockStream>();
  readonly #ticketTimer: NodeJS.Timeout;
  #listener: { close(): Promise<void> } | undefined;

  private constructor(
    sources: readonly CertificateSource[],
    { alpn }: Tls,
    clientCa: Buffer | undefined,
    context: SourceContext,
  ) {
    this.#port = context.port;
    this.#log = context.log;
    this.#sources = sources;
    const common = {
      minVersion: 'TLSv1.2',
      sessionTimeout: limits.tlsSessionMs / 1000,
      ...(clientCa === undefined ? {} : { ca: clientCa }),
    } as const;
    this.#server = createServer({
      ...common,
      ticketKeys: ticketKeys(),
      handshakeTimeout: limits.tlsHandshakeMs,
      allowHalfOpen: true,
      SNICallback: (name, done) => done(null, this.#identities.contextFor(name)),
      ...(clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    });
    this.#identities = new Identities(common, (pair) =>
      this.#server.setSecureContext({
        ...common,
        ticketKeys: this.#server.getTicketKeys(),
        key: pair.key,
        cert: pair.certificates,
      }),
    );
    this.#challenges = new AcmeChallenges(sources);
    // Whoever takes the memory of one period reads no sessions of TLS 1.2 of another
    this.#ticketTimer = setInterval(() => this.#server.setTicketKeys(ticketKeys()), limits.tlsTicketKeyMs).unref();
    this.#server.on('secureConnection', (client) => this.#serve(client));
    this.#server.on('tlsClientError', (error, client) => this.#fail(error, client));
  }

  /** Listens, and waits until there is a first pair of each source. Throws VsockError, OdynError. */
  static async open(transport: VsockTransport, tls: Tls, context: SourceContext): Promise<TlsPort> {
    const { root, port } = context;
    const clientCa = tls.clientCaFile === undefined ? undefined : readFirst(root, port, [tls.clientCaFile]);
    const sources = await Promise.all(tls.certificates.map((certificate) => openSource(certificate, context)));
    const opened = new TlsPort(sources, tls, clientCa, context);
    try {
      // A certificate authority may want to see the port before there is a certificate
      opened.#listener = await transport.listen(port, (stream) => opened.#accept(stream));
      await Promise.all(sources.map((source, index) => opened.#follow(source, index)));
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    clearInterval(this.#ticketTimer);
    for (const source of this.#sources) source.close();
    await this.#listener?.close();
    const until = Date.now() + limits.ingressDrainMs;
    while (this.#open.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const stream of this.#open) stream.destroy();
  }

  async #follow(source: CertificateSource, index: number): Promise<void> {
    const first = await source.start((pair) => {
      this.#identities.set(index, pair);
      this.#log.info('certificate changed', { port: this.#port, certificate: index });
    });
    this.#identities.set(index, first);
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
    this.#challenges.sift(stream, () => this.#server.emit('connection', stream));
  }

  #serve(client: TLSSocket): void {
    if (client.isSessionReused()) this.stats.resumed++;
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

/** Name, HMAC key and AES key of OpenSSL's session tickets: new at each boot, and never outside this process. */
function ticketKeys(): Buffer {
  return randomBytes(48);
}

function idle(side: Socket, ...all: readonly Socket[]): void {
  side.setTimeout(limits.ingressIdleMs, () => {
    for (const each of all) each.destroy();
  });
}
