import { once } from 'node:events';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import type { Manifest } from '@enclaver/manifest';
import { Relay } from '@enclaver/vsock';
import { LogDecoder } from '@enclaver/wire';
import { Egress } from '../src/egress/egress.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { type FakeParent, redirectBinary } from './harness.ts';

export async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function freePort(): Promise<number> {
  const probe = createTcp();
  const port = await portOf(probe);
  probe.close();
  return port;
}

/** The lines of a log. */
export function textOf(ring: LogRing): string {
  const bytes = ring.cursor(0).take();
  if (bytes === undefined) return '';
  const records = new LogDecoder().push(bytes);
  return records.map(({ payload }) => payload.toString()).join('\n');
}

/** odyn's egress without the rest of odyn. */
export class EgressProxy {
  readonly egress: Egress;
  readonly #relay: Relay;
  readonly #ring: LogRing;

  private constructor(egress: Egress, relay: Relay, ring: LogRing) {
    this.egress = egress;
    this.#relay = relay;
    this.#ring = ring;
  }

  static async open(parent: Pick<FakeParent, 'transport'>, rules: Partial<Manifest['egress']>): Promise<EgressProxy> {
    const relay = new Relay();
    const ring = new LogRing(1 << 20);
    const settings = { proxyPort: await freePort(), allow: [], deny: [], ...rules };
    const egress = await Egress.open(parent.transport, relay, settings, new OdynLog(ring), {
      redirectPath: rules?.transparent ? await redirectBinary() : '',
    });
    return new EgressProxy(egress, relay, ring);
  }

  get url(): string {
    return `http://127.0.0.1:${this.egress.port}/`;
  }

  /** All that odyn has logged. */
  log(): string {
    return textOf(this.#ring);
  }

  async close(): Promise<void> {
    await this.egress.close();
    await this.#relay.close();
  }
}
