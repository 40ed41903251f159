import type { Relay, RelayRoute, RelayStats, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';

/** Lets the parent's connections in: from vsock to the same port of the app, without JavaScript on the way. */
export class Ingress {
  readonly #routes: { readonly port: number; readonly route: RelayRoute }[] = [];

  private constructor() {}

  /** @throws VsockError */
  static async open(transport: VsockTransport, relay: Relay, ports: readonly number[]): Promise<Ingress> {
    const ingress = new Ingress();
    for (const port of ports) {
      const route = await relay.listen(
        transport.listenAddress(port),
        { type: 'tcp', host: '127.0.0.1', port },
        {
          maxConnections: limits.ingressConnections,
          connectTimeoutMs: limits.ingressConnectMs,
          idleTimeoutMs: limits.ingressIdleMs,
        },
      );
      ingress.#routes.push({ port, route });
    }
    return ingress;
  }

  stats(): (RelayStats & { port: number })[] {
    return this.#routes.map(({ port, route }) => ({ port, ...route.stats() }));
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await Promise.all(this.#routes.map(({ route }) => route.close({ drainMs: limits.ingressDrainMs })));
  }
}
