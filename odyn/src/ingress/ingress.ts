import { type IngressPort, needsPeer } from '@enclaver/manifest';
import type { Relay, RelayRoute, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { SourceContext } from './certificates/source.ts';
import { idleMs } from './entry-limits.ts';
import type { PeerPort } from './peer-port.ts';
import { RefusalLog } from './refusals.ts';
import type { TlsPort } from './tls-port.ts';

/**
 * Lets the parent's connections in, to the same port of the app: plain ones without JavaScript on the way, but for a look at
 * the client where the manifest wants one; TLS ends here.
 */
export class Ingress {
  readonly #routes: { readonly port: number; readonly route: RelayRoute }[] = [];
  readonly #doors: { readonly port: number; readonly opened: TlsPort | PeerPort }[] = [];
  readonly #refusals: RefusalLog;

  private constructor(log: OdynLog) {
    this.#refusals = new RefusalLog(log);
  }

  /** @throws VsockError, OdynError */
  static async open(transport: VsockTransport, relay: Relay, options: Omit<SourceContext, 'port'>): Promise<Ingress> {
    const ingress = new Ingress(options.log);
    try {
      for (const entry of options.manifest.ingress) await ingress.#open(transport, relay, entry, options);
    } catch (error) {
      await ingress.close();
      throw error;
    }
    return ingress;
  }

  async #open(
    transport: VsockTransport,
    relay: Relay,
    entry: IngressPort,
    options: Omit<SourceContext, 'port'>,
  ): Promise<void> {
    const { listenPort: port, tls } = entry;
    if (tls === undefined && !needsPeer(entry)) {
      const route = await openPlain(transport, relay, entry);
      this.#routes.push({ port, route });
      this.#refusals.watch({ port, counts: () => route.stats(), lastRefusal: () => undefined });
      return;
    }
    let opened: TlsPort | PeerPort;
    if (tls === undefined) {
      const { PeerPort } = await import('./peer-port.ts');
      opened = await PeerPort.open(transport, relay, entry, options.log);
    } else {
      // Node's TLS and OpenSSL's keys cost memory and time: enclaves without TLS do not load them
      const { TlsPort } = await import('./tls-port.ts');
      opened = await TlsPort.open(transport, entry, tls, { ...options, port });
    }
    this.#doors.push({ port, opened });
    this.#refusals.watch({ port, counts: () => opened.counts, lastRefusal: () => opened.lastRefusal });
  }

  stats(): (Readonly<Record<string, number>> & { port: number })[] {
    return [
      ...this.#routes.map(({ port, route }) => ({ port, ...route.stats() })),
      ...this.#doors.map(({ port, opened }) => ({ port, ...opened.counts })),
    ];
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await Promise.all([
      ...this.#routes.map(({ route }) => route.close({ drainMs: limits.ingressDrainMs })),
      ...this.#doors.map(({ opened }) => opened.close()),
    ]);
    this.#refusals.close();
  }
}

function openPlain(transport: VsockTransport, relay: Relay, entry: IngressPort): Promise<RelayRoute> {
  const { listenPort: port, maxConnections, rateLimit } = entry;
  return relay.listen(
    transport.listenAddress(port),
    { type: 'tcp', host: '127.0.0.1', port },
    {
      maxConnections: maxConnections ?? limits.ingressConnections,
      connectTimeoutMs: limits.ingressConnectMs,
      idleTimeoutMs: idleMs(entry),
      ...(rateLimit && { rate: { perSecond: rateLimit.connectionsPerSecond, burst: rateLimit.burst } }),
    },
  );
}
