import type { Relay, VsockTransport } from '@enclaver/vsock';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { SourceContext } from './certificates/source.ts';
import { PlainPort } from './plain-port.ts';
import { type OpenPort, type PortCounts, RefusalLog } from './refusals.ts';

/** Lets the parent's connections in, to the same port of the app: plain ones pass natively, TLS ends here. */
export class Ingress {
  readonly #ports: OpenPort[] = [];
  readonly #refusals: RefusalLog;

  private constructor(log: OdynLog) {
    this.#refusals = new RefusalLog(log, this.#ports);
  }

  /**
   * @param tlsConnections of a port with TLS whose entry names no number
   * @throws VsockError, OdynError
   */
  static async open(
    transport: VsockTransport,
    relay: Relay,
    options: Omit<SourceContext, 'port'>,
    tlsConnections: number,
  ): Promise<Ingress> {
    const ingress = new Ingress(options.log);
    try {
      for (const entry of options.manifest.ingress) {
        if (entry.tls === undefined) ingress.#ports.push(await PlainPort.open(transport, relay, entry));
        else {
          // Node's TLS and OpenSSL's keys cost memory and time: enclaves without TLS do not load them
          const { TlsPort } = await import('./tls-port.ts');
          const context = { ...options, port: entry.listenPort };
          ingress.#ports.push(await TlsPort.open(transport, entry, entry.tls, context, tlsConnections));
        }
      }
    } catch (error) {
      await ingress.close();
      throw error;
    }
    return ingress;
  }

  stats(): (PortCounts & { port: number })[] {
    return this.#ports.map(({ port, counts }) => ({ port, ...counts }));
  }

  /** Stops accepting; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.close()));
    this.#refusals.close();
  }
}
