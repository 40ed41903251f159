import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Policy } from '@enclaver/egress-policy';
import { KeptConnections } from '@enclaver/http-forward';
import type { Manifest } from '@enclaver/manifest';
import type { Relay, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { type EgressCounts, Gate } from './gate.ts';
import { createProxy } from './proxy.ts';
import type { Transparent, TransparentOptions } from './transparent/transparent.ts';

/** The app's way out: an HTTP proxy on the enclave's loopback, and in transparent mode whatever it connects to. */
export class Egress {
  readonly port: number;
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #connections = new KeptConnections({
    each: limits.egressIdlePerServer,
    all: limits.egressIdleServers,
    idleMs: limits.egressIdleServerMs,
  });
  readonly #clients = new Set<Socket>();
  #transparent: Transparent | undefined;

  private constructor(port: number, gate: Gate, relay: Relay) {
    this.port = port;
    this.#gate = gate;
    this.#server = createProxy(gate, relay, this.#connections);
    // Node forgets those that have asked for CONNECT or Upgrade, and waits for them all the same
    this.#server.on('connection', (client: Socket) => {
      this.#clients.add(client);
      client.once('close', () => this.#clients.delete(client));
    });
  }

  /** @throws OdynError REDIRECT_FAILED */
  static async open(
    transport: VsockTransport,
    relay: Relay,
    egress: NonNullable<Manifest['egress']>,
    log: OdynLog,
    options: TransparentOptions,
  ): Promise<Egress> {
    const gate = new Gate(transport, new Policy(egress), log);
    const opened = new Egress(egress.proxyPort, gate, relay);
    opened.#server.listen(egress.proxyPort, '127.0.0.1');
    await once(opened.#server, 'listening');
    try {
      if (egress.transparent) {
        const { Transparent } = await import('./transparent/transparent.ts');
        opened.#transparent = await Transparent.open(gate, relay, options);
      }
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  counts(): EgressCounts {
    return { ...this.#gate.counts };
  }

  async close(): Promise<void> {
    await this.#transparent?.close();
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const client of this.#clients) client.destroy();
    this.#connections.close();
    await closed;
  }
}
