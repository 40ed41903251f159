import type { Relay, RelayRoute, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { SourceContext } from './certificates/source.ts';
import type { TlsPort } from './tls-port.ts';

/** Lets the parent's connections in, to the same port of the app: plain ones without JavaScript on the way, TLS ends here. */
export class Ingress {
  readonly #routes: { readonly port: number; readonly route: RelayRoute }[] = [];
  readonly #tls: { readonly port: number; readonly opened: TlsPort }[] = [];

  private constructor() {}

  /** @throws VsockError, OdynError */
  static async open(transport: VsockTransport, relay: Relay, options: Omit<SourceContext, 'port'>): Promise<Ingress> {
    const ingress = new Ingress();
    try {
      for (const { listenPort: port, tls } of options.manifest.ingress) {
        if (tls === undefined) ingress.#routes.push({ port, route: await openPlain(transport, relay, port) });
        else {
          // Node's TLS and OpenSSL's keys cost memory and time: enclaves without TLS do not load them
          const { TlsPort } = await import('./tls-port.ts');
          ingress.#tls.push({ port, opened: await TlsPort.open(transport, tls, { ...options, port }) });
        }
      }
    } catch (error) {
      await ingress.close();
      throw error;
    }
    return ingress;
  }

  stats(): (Readonly<Record<string, number>> & { port: number })[] {
    return [
      ...this.#routes.map(({ port, route }) => ({ port, ...route.stats() })),
      ...this.#tls.map(({ port, opened }) => ({ port, ...opened.stats })),
    ];
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await Promise.all([
      ...this.#routes.map(({ route }) => route.close({ drainMs: limits.ingressDrainMs })),
      ...this.#tls.map(({ opened }) => opened.close()),
    ]);
  }
}

function openPlain(transport: VsockTransport, relay: Relay, port: number): Promise<RelayRoute> {
  return relay.listen(
    transport.listenAddress(port),
    { type: 'tcp', host: '127.0.0.1', port },
    {
      maxConnections: limits.ingressConnections,
      connectTimeoutMs: limits.ingressConnectMs,
      idleTimeoutMs: limits.ingressIdleMs,
    },
  );
}
