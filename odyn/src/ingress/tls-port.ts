import { AsyncLocalStorage } from 'node:async_hooks';
import { connect, type Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { type IngressPort, needsPeer, type Tls } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { OdynError } from '../odyn-error.ts';
import { AcmeChallenges } from './acme-challenges.ts';
import { Admission, type AdmissionCounts } from './admission.ts';
import { readAuthorities } from './certificates/files.ts';
import { openSource } from './certificates/open-source.ts';
import type { CertificateSource, SourceContext } from './certificates/source.ts';
import { idleMs } from './entry-limits.ts';
import { Identities } from './identities.ts';
import { joinStreams } from './join-streams.ts';
import { PeerGate } from './peer-gate.ts';
import type { OpenPort, Refusal } from './refusals.ts';
import { TicketKeys } from './ticket-keys.ts';

interface TlsCounts extends AdmissionCounts {
  failedHandshakes: number;
  /** Handshakes that went on with an earlier session. */
  resumed: number;
  /** Clients that left the app's bytes for too long. */
  stalled: number;
  failedConnects: number;
}

/**
 * A port of the parent behind which TLS ends: the app gets plain bytes at the same port. Handshakes go on side by side, each
 * within its time, so that a client that stalls holds up nobody (faults D5, B-7).
 */
export class TlsPort implements OpenPort {
  readonly port: number;
  lastFault: string | undefined;
  readonly #counts = { failedHandshakes: 0, resumed: 0, stalled: 0, failedConnects: 0 };
  readonly #entry: IngressPort;
  readonly #gate: PeerGate | undefined;
  readonly #admission: Admission;
  /** What the app of a connection hears first, from its accept to the end of its handshake. */
  readonly #heads = new AsyncLocalStorage<Buffer>();
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
    clientCa: string | undefined,
    context: SourceContext,
    maxConnections: number,
  ) {
    this.#entry = entry;
    this.port = entry.listenPort;
    this.#gate = needsPeer(entry) ? new PeerGate(entry) : undefined;
    this.#admission = new Admission(entry, this.#gate, maxConnections);
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
      // A callback has every handshake wait for it, in C++ and in JavaScript
      ...(sources.length > 1 && { SNICallback: this.#chooseIdentity }),
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

  /**
   * Listens, and waits until there is a first pair of each source.
   * @param maxConnections where the entry names no number
   * @throws VsockError, OdynError
   */
  static async open(
    transport: VsockTransport,
    entry: IngressPort,
    tls: Tls,
    context: SourceContext,
    maxConnections: number,
  ): Promise<TlsPort> {
    const { root, port } = context;
    const clientCa = tls.clientCaFile === undefined ? undefined : readAuthorities(root, port, tls.clientCaFile);
    const sources = await Promise.all(tls.certificates.map((certificate) => openSource(certificate, context)));
    const opened = new TlsPort(entry, sources, tls, clientCa, context, maxConnections);
    try {
      // A certificate authority may want to see the port before there is a certificate
      await opened.#admission.listen(transport, (socket, head) => opened.#accept(socket, head));
      const ready = Promise.all(sources.map((source, index) => opened.#follow(source, index)));
      await Promise.race([ready, untilStopped(context)]);
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  get counts(): TlsCounts {
    return { ...this.#admission.counts, ...this.#counts };
  }

  get lastRefusal(): Refusal | undefined {
    return this.#gate?.lastRefusal;
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
      this.#log.info('certificate changed', { port: this.port, certificate: index });
    });
    this.#identities.set(index, first);
  }

  #accept(socket: Socket, head: Buffer): void {
    // The documented way to give a server a connection that it has not accepted itself
    this.#challenges.sift(socket, () => this.#heads.run(head, () => this.#server.emit('connection', socket)));
  }

  readonly #chooseIdentity: TlsOptions['SNICallback'] = (name, done) => done(null, this.#identities.contextFor(name));

  #serve(client: TLSSocket): void {
    const head = this.#heads.getStore();
    if (head === undefined) {
      // Cannot be; but an app that was promised who connects must not take a client for another
      client.destroy();
      return;
    }
    if (client.isSessionReused()) this.#counts.resumed++;
    const app = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const end = (): void => {
      client.destroy();
      app.destroy();
    };
    client.setTimeout(idleMs(this.#entry), end);
    app.setTimeout(limits.ingressConnectMs, () => {
      if (app.pending) app.destroy(new Error('the app did not accept in time'));
      else end();
    });
    app.once('connect', () => app.setTimeout(idleMs(this.#entry)));
    app.once('error', () => {
      if (app.bytesRead === 0 && app.bytesWritten === 0) this.#counts.failedConnects++;
    });
    this.#cutWhenStalled(client, app);
    if (head.length > 0) app.write(head);
    joinStreams(client, app);
  }

  /**
   * The app's side is paused exactly while the client has not taken what waits for it; what it sends meanwhile does not count. Not sooner
   * than for silence: outside a megabyte may wait for a slow client, and room there comes a third of it at once.
   */
  #cutWhenStalled(client: TLSSocket, app: Socket): void {
    let timer: NodeJS.Timeout | undefined;
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.#counts.stalled++;
        client.destroy();
      }, idleMs(this.#entry));
    };
    app.on('pause', wait).on('resume', () => clearTimeout(timer));
    client.once('close', () => clearTimeout(timer));
  }

  #fail(error: Error, client: TLSSocket): void {
    this.#counts.failedHandshakes++;
    // Told with what else was refused: a line for each would push out those of the app
    this.lastFault = (error as NodeJS.ErrnoException).code;
    client.destroy();
  }
}

/** Rejects with STOPPED when the enclave is asked to end. */
function untilStopped({ port, stop }: SourceContext): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onStop = (): void =>
      reject(new OdynError('STOPPED', `the enclave was stopped before ingress port ${port} had its certificates`));
    if (stop?.aborted) onStop();
    else stop?.addEventListener('abort', onStop, { once: true });
  });
}
