import type { IngressPort } from '@enclaver/manifest';
import type { Relay, VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { Admission, type AdmissionCounts, type Admitted } from './admission.ts';
import { idleMs } from './entry-limits.ts';
import type { Refusal } from './refusals.ts';

export interface PeerPortCounts extends AdmissionCounts {
  failedConnects: number;
}

/** A plain port whose manifest looks at the client: JavaScript decides at its first bytes, the rest passes natively. */
export class PeerPort {
  readonly #admission: Admission;
  readonly #entry: IngressPort;
  readonly #relay: Relay;
  #failedConnects = 0;

  private constructor(relay: Relay, entry: IngressPort, log: OdynLog) {
    this.#relay = relay;
    this.#entry = entry;
    this.#admission = new Admission(entry, limits.ingressConnections, log);
  }

  /** Throws VsockError. */
  static async open(transport: VsockTransport, relay: Relay, entry: IngressPort, log: OdynLog): Promise<PeerPort> {
    const port = new PeerPort(relay, entry, log);
    await port.#admission.listen(transport, (admitted) => port.#serve(admitted));
    return port;
  }

  get counts(): PeerPortCounts {
    return { ...this.#admission.counts, failedConnects: this.#failedConnects };
  }

  get lastRefusal(): Refusal | undefined {
    return this.#admission.lastRefusal;
  }

  async close(): Promise<void> {
    await this.#admission.close();
  }

  async #serve({ stream, header, rest, signal }: Admitted): Promise<void> {
    const app = { type: 'tcp', host: '127.0.0.1', port: this.#entry.listenPort } as const;
    const { reason } = await this.#relay.join(
      { stream, head: header.length === 0 ? rest : Buffer.concat([header, rest]) },
      { connect: app, timeoutMs: limits.ingressConnectMs },
      { idleTimeoutMs: idleMs(this.#entry), signal },
    );
    if (reason === 'connect-failed') this.#failedConnects++;
  }
}
