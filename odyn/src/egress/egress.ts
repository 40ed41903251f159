import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Manifest } from '@enclaver/manifest';
import type { Relay, VsockTransport } from '@enclaver/vsock';
import type { OdynLog } from '../logs/odyn-log.ts';
import { type EgressCounts, Gate } from './gate.ts';
import { Policy } from './policy.ts';
import { createProxy } from './proxy.ts';
import { ServerConnections } from './server-connections.ts';

/** The app's way out: an HTTP proxy on the enclave's loopback. */
export class Egress {
  readonly port: number;
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #connections: ServerConnections;

  private constructor(port: number, server: Server, gate: Gate, connections: ServerConnections) {
    this.port = port;
    this.#server = server;
    this.#gate = gate;
    this.#connections = connections;
  }

  /** @returns undefined when the manifest allows nothing, and there is no proxy then */
  static async open(
    transport: VsockTransport,
    relay: Relay,
    egress: Manifest['egress'],
    log: OdynLog,
  ): Promise<Egress | undefined> {
    if (egress === undefined || egress.allow.length === 0) return undefined;
    const gate = new Gate(transport, new Policy(egress), log);
    const connections = new ServerConnections();
    const server = createProxy(gate, relay, connections);
    server.listen(egress.proxyPort, '127.0.0.1');
    await once(server, 'listening');
    return new Egress(egress.proxyPort, server, gate, connections);
  }

  counts(): EgressCounts {
    return { ...this.#gate.counts };
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#connections.close();
    await closed;
  }
}
