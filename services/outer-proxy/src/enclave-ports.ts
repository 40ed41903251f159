import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import type { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import { Egress } from './egress.ts';
import type { HttpPorts } from './http/http-ports.ts';
import { type Ingress, openIngress } from './ingress.ts';
import { limits } from './limits.ts';
import { transportOf } from './transport.ts';

/** All listeners of one enclave: one per published ingress, HTTP ones shared with others, and the egress dialler if its manifest has egress. */
export class EnclavePorts {
  readonly #ingress: Ingress[] = [];
  #egress: Egress | undefined;

  /** Opens all or none. Errors: those of `openIngress` and `HttpPorts.open`. */
  static async open(relay: Relay, http: HttpPorts, record: EnclaveRecord, logger: Logger): Promise<EnclavePorts> {
    const ports = new EnclavePorts();
    const transport = transportOf(record.vsock);
    try {
      if (record.egress) ports.#egress = await Egress.open(relay, transport, logger);
      const held = record.state !== 'requested';
      for (const published of record.ingress) {
        ports.#ingress.push(
          published.protocol === 'http'
            ? await http.open(record, transport, published, held)
            : await openIngress(relay, transport, published, held),
        );
      }
    } catch (error) {
      await ports.close(0);
      throw error;
    }
    return ports;
  }

  /** The addresses that are listened on, free ports filled in. */
  get ingress(): PublishedPort[] {
    return this.#ingress.map(({ published }) => published);
  }

  stats(): object {
    return {
      ingress: this.#ingress.map(({ published, route }) => ({ ...published, ...route.stats() })),
      egress: this.#egress?.stats,
    };
  }

  async close(drainMs: number = limits.drainMs): Promise<void> {
    await Promise.all([...this.#ingress.map(({ route }) => route.close({ drainMs })), this.#egress?.close(drainMs)]);
  }
}
