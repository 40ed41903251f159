import { AsyncLocalStorage } from 'node:async_hooks';
import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { IngressPort, Tls } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { AcmeChallenges } from './acme-challenges.ts';
import { Admission, type AdmissionCounts, type Admitted } from './admission.ts';
import { readFirst } from './certificates/files.ts';
import { openSource } from './certificates/open-source.ts';
import type { CertificateSource, SourceContext } from './certificates/source.ts';
import { idleMs } from './entry-limits.ts';
import { Identities } from './identities.ts';
import type { Refusal } from './refusals.ts';
import { TicketKeys } from './ticket-keys.ts';

export interface TlsPortCounts extends AdmissionCounts {
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
  readonly #counts = { failedHandshakes: 0, resumed: 0, failedConnects: 0 };
  readonly #entry: IngressPort;
  readonly #admission: Admission;
  /** What the app of a connection hears first, from its accept to the end of its handshake. */
  readonly #headers = new AsyncLocalStorage<Buffer>();
  readonly #sources: readonly CertificateSource[];
  readonly #identities: Identities;
  readonly #challenges: AcmeChallenges;
  readonly #server: Server;
  readonly #log: OdynLog;
  readonly #ticketKeys: TicketKeys;

  private constructor(
    entry: IngressPort,
    sources: readonly CertificateSource[],
    { alpn }: Tls,
    clientCa: Buffer | undefined,
    context: SourceContext,
  ) {
    this.#entry = entry;
    this.#admission = new Admission(entry, limits.tlsConnections, context.log);
    this.#log = context.log;
    this.#sources = sources;
    const common = {
      minVersion: 'TLSv1.2',
      sessionTimeout: limits.tlsSessionMs / 1000,
      ...(clientCa === undefined ? {} : { ca: clientCa }),
    } as const;
    this.#server = createServer({
      ...common,
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
    this.#ticketKeys = new TicketKeys(this.#server, limits.tlsTicketKeyMs);
    this.#server.on('secureConnection', (client) => this.#serve(client));
    this.#server.on('tlsClientError', (error, client) => this.#fail(error, client));
  }

  /** Listens, and waits until there is a first pair of each source. Throws VsockError, OdynError. */
  static async open(transport: VsockTransport, entry: IngressPort, tls: Tls, context: SourceContext): Promise<TlsPort> {
    const { root, port } = context;
    const clientCa = tls.clientCaFile === undefined ? undefined : readFirst(root, port, [tls.clientCaFile]);
    const sources = await Promise.all(tls.certificates.map((certificate) => openSource(certificate, context)));
    const opened = new TlsPort(entry, sources, tls, clientCa, context);
    try {
      // A certificate authority may want to see the port before there is a certificate
      await opened.#admission.listen(transport, (admitted) => opened.#accept(admitted));
      await Promise.all(sources.map((source, index) => opened.#follow(source, index)));
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  get counts(): TlsPortCounts {
    return { ...this.#admission.counts, ...this.#counts };
  }

  get lastRefusal(): Refusal | undefined {
    return this.#admission.lastRefusal;
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    this.#ticketKeys.close();
    for (const source of this.#sources) source.close();
    await this.#admission.close();
  }

  async #follow(source: CertificateSource, index: number): Promise<void> {
    const first = await source.start((pair) => {
      this.#identities.set(index, pair);
      this.#log.info('certificate changed', { port: this.#entry.listenPort, certificate: index });
    });
    this.#identities.set(index, first);
  }

  async #accept({ stream, header, rest }: Admitted): Promise<void> {
    const closed = new Promise((resolve) => stream.once('close', resolve));
    if (rest.length > 0) stream.unshift(rest);
    // The documented way to give a TLS server a stream that is no socket of Node's
    this.#challenges.sift(stream, () => this.#headers.run(header, () => this.#server.emit('connection', stream)));
    await closed;
  }

  #serve(client: TLSSocket): void {
    const header = this.#headers.getStore();
    if (header === undefined) {
      // Cannot be; but an app that was promised who connects must not take a client for another
      client.destroy();
      return;
    }
    if (client.isSessionReused()) this.#counts.resumed++;
    const app = connect({ port: this.#entry.listenPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => app.destroy(new Error('the app did not accept in time')), limits.ingressConnectMs);
    app.once('connect', () => clearTimeout(timer));
    app.once('error', () => {
      if (app.bytesRead === 0 && app.bytesWritten === 0) this.#counts.failedConnects++;
    });
    app.once('close', () => clearTimeout(timer));
    for (const side of [client, app]) idle(side, idleMs(this.#entry), client, app);
    const over = (): void => {
      client.destroy();
      app.destroy();
    };
    if (header.length > 0) app.write(header);
    // Each direction ends by itself; an error of one ends both
    pipeline(client, app, (error) => error && over());
    pipeline(app, client, (error) => error && over());
  }

  #fail(error: Error, client: TLSSocket): void {
    this.#counts.failedHandshakes++;
    this.#log.debug('TLS handshake failed', {
      port: this.#entry.listenPort,
      reason: (error as NodeJS.ErrnoException).code,
    });
    client.destroy();
  }
}

function idle(side: Socket, ms: number, ...all: readonly Socket[]): void {
  side.setTimeout(ms, () => {
    for (const each of all) each.destroy();
  });
}
