import { type IngressPort, needsPeer } from '@enclaver/manifest';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { encodeProxyHeader, type ProxyHeader } from '@enclaver/wire';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { ClientRules } from './client-rules.ts';
import { type Peer, readPeer } from './peer-header.ts';
import { Rate } from './rate.ts';
import type { Refusal, RefusalCounts } from './refusals.ts';

export interface AdmissionCounts extends RefusalCounts {
  active: number;
  /** Those that were let in. */
  accepted: number;
}

/** What the app is to hear first, and the bytes that are the client's. */
export interface Admitted {
  readonly stream: VsockStream;
  /** A PROXY header made anew, where the manifest gives the app one; else empty. */
  readonly header: Buffer;
  /** Bytes of the client that were read already. */
  readonly rest: Buffer;
  /** The port closes. */
  readonly signal: AbortSignal;
}

/**
 * The door of a port whose connections JavaScript accepts: bounded in number and rate, and where the manifest asks for it
 * each is decided upon by the address that the parent reports. The parent can report what it likes: that is no proof of
 * who connects, and whatever it sends in place of a header costs one connection and no more.
 */
export class Admission {
  readonly counts: AdmissionCounts = { active: 0, accepted: 0, refused: 0, rateLimited: 0, denied: 0, badHeaders: 0 };
  /** The one that was refused last because of its address or header. */
  lastRefusal: Refusal | undefined;
  readonly #entry: IngressPort;
  readonly #max: number;
  readonly #rules: ClientRules | undefined;
  readonly #rate: Rate | undefined;
  readonly #closing = new AbortController();
  readonly #open = new Set<VsockStream>();
  #listener: { close(): Promise<void> } | undefined;
  #serve: ((admitted: Admitted) => Promise<unknown>) | undefined;

  readonly #log: OdynLog;

  constructor(entry: IngressPort, defaultMax: number, log: OdynLog) {
    this.#entry = entry;
    this.#log = log;
    this.#max = entry.maxConnections ?? defaultMax;
    this.#rules = entry.clients && new ClientRules(entry.clients);
    this.#rate = entry.rateLimit && new Rate(entry.rateLimit);
  }

  /** `serve` gets each connection that may come in, and its place is taken until what `serve` gives is settled. Throws VsockError. */
  async listen(transport: VsockTransport, serve: (admitted: Admitted) => Promise<unknown>): Promise<void> {
    this.#serve = serve;
    this.#listener = await transport.listen(this.#entry.listenPort, (stream) => this.#accept(stream));
  }

  /** Takes nobody in any more; what is on its way to clients may still go for a moment. */
  async close(): Promise<void> {
    await this.#listener?.close();
    const until = Date.now() + limits.ingressDrainMs;
    while (this.counts.active > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    this.#closing.abort();
    for (const stream of this.#open) stream.destroy();
  }

  #accept(stream: VsockStream): void {
    stream.on('error', () => stream.destroy());
    if (this.counts.active >= this.#max) {
      this.counts.refused++;
      stream.destroy();
      return;
    }
    this.counts.active++;
    this.#open.add(stream);
    stream.once('close', () => this.#open.delete(stream));
    void this.#pass(stream)
      .catch((error: Error) => {
        this.#log.debug('connection not served', { port: this.#entry.listenPort, reason: error.message });
      })
      .finally(() => {
        this.counts.active--;
        stream.destroy();
      });
  }

  async #pass(stream: VsockStream): Promise<void> {
    let peer: Peer | undefined;
    if (needsPeer(this.#entry)) {
      try {
        peer = await readPeer(stream);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        this.counts.badHeaders++;
        this.lastRefusal = { rule: (error as Error).message };
        return;
      }
      if (!this.#mayCome(peer.header)) return;
    }
    if (this.#rate?.take() === false) {
      this.counts.rateLimited++;
      return;
    }
    if (stream.destroyed) return;
    this.counts.accepted++;
    const header = peer !== undefined && this.#entry.proxyProtocol === true ? encodeProxyHeader(peer.header) : NOTHING;
    await this.#serve?.({ stream, header, rest: peer?.rest ?? NOTHING, signal: this.#closing.signal });
  }

  #mayCome(header: ProxyHeader): boolean {
    if (this.#rules === undefined) return true;
    const address = header.command === 'local' ? undefined : { family: header.family, bytes: header.source.address };
    const { allowed, rule } = this.#rules.decide(address);
    if (allowed) return true;
    this.counts.denied++;
    this.lastRefusal = { rule, ...(address === undefined ? {} : { client: address }) };
    return false;
  }
}

const NOTHING = Buffer.alloc(0);
