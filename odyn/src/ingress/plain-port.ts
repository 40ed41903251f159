import { type IngressPort, needsPeer } from '@enclaver/manifest';
import type { Relay, RelayRoute, RelayStats, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { idleMs } from './entry-limits.ts';
import { PeerGate, peerScreen } from './peer-gate.ts';
import type { OpenPort, Refusal, RefusalCounts } from './refusals.ts';

type PlainCounts = RefusalCounts & Omit<RelayStats, 'undecided'>;

/** A port whose bytes pass natively as they are. Where the manifest looks at the client, JavaScript decides at the first of them. */
export class PlainPort implements OpenPort {
  readonly port: number;
  readonly #route: RelayRoute;
  readonly #gate: PeerGate | undefined;

  private constructor(port: number, route: RelayRoute, gate: PeerGate | undefined) {
    this.port = port;
    this.#route = route;
    this.#gate = gate;
  }

  /** Throws VsockError. */
  static async open(transport: VsockTransport, relay: Relay, entry: IngressPort): Promise<PlainPort> {
    const { listenPort: port, maxConnections, rateLimit } = entry;
    const gate = needsPeer(entry) ? new PeerGate(entry) : undefined;
    const route = await relay.listen(
      transport.listenAddress(port),
      { type: 'tcp', host: '127.0.0.1', port },
      {
        maxConnections: maxConnections ?? limits.ingressConnections,
        connectTimeoutMs: limits.ingressConnectMs,
        idleTimeoutMs: idleMs(entry),
        ...(rateLimit && { rate: { perSecond: rateLimit.connectionsPerSecond, burst: rateLimit.burst } }),
        ...(gate && { screen: peerScreen(gate) }),
      },
    );
    return new PlainPort(port, route, gate);
  }

  get counts(): PlainCounts {
    const { undecided, ...stats } = this.#route.stats();
    const { denied = 0, badHeaders = 0 } = this.#gate?.counts ?? {};
    return { ...stats, denied, badHeaders: badHeaders + undecided };
  }

  get lastRefusal(): Refusal | undefined {
    return this.#gate?.lastRefusal;
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await this.#route.close({ drainMs: limits.ingressDrainMs });
  }
}
