import type { Manifest } from '@enclaver/manifest';
import type { Relay, VsockTransport } from '@enclaver/vsock';
import type { OdynLog } from '../logs/odyn-log.ts';

/** The app's way out. */
export class Egress {
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  static async open(
    _transport: VsockTransport,
    _relay: Relay,
    egress: Manifest['egress'],
    log: OdynLog,
  ): Promise<Egress | undefined> {
    if (egress === undefined || egress.allow.length === 0) return undefined;
    log.warn('egress is not there yet');
    return new Egress(egress.proxyPort);
  }

  counts(): Record<string, number> {
    return {};
  }

  async close(): Promise<void> {}
}
