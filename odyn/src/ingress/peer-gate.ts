import type { IngressPort } from '@enclaver/manifest';
import type { Screen, Verdict } from '@enclaver/vsock';
import { decodeProxyHeader, encodeProxyHeader, PROXY_HEADER_MAX, type ProxyHeader, WireError } from '@enclaver/wire';
import { limits } from '../limits.ts';
import { ClientRules } from './client-rules.ts';
import type { Refusal } from './refusals.ts';

/**
 * Decides on the connections of a port by the PROXY header that the parent sends first. The parent can send what it likes: its
 * word about a client is no proof, and whatever it sends in place of a header costs that one connection and no more.
 */
export class PeerGate {
  readonly counts = { denied: 0, badHeaders: 0 };
  lastRefusal: Refusal | undefined;
  readonly #rules: ClientRules | undefined;
  readonly #tellsApp: boolean;

  constructor({ clients, proxyProtocol }: IngressPort) {
    this.#rules = clients && new ClientRules(clients);
    this.#tellsApp = proxyProtocol === true;
  }

  /** `first` is what has come so far. An app that is told gets a header that is made anew. */
  readonly decide = (first: Buffer): Verdict => {
    try {
      const read = decodeProxyHeader(first);
      if (read === undefined) return 'more';
      if (!this.#mayCome(read.header)) return 'refuse';
      return { pass: read.length, ...(this.#tellsApp ? { head: encodeProxyHeader(read.header) } : {}) };
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counts.badHeaders++;
      this.lastRefusal = { rule: error.message };
      return 'refuse';
    }
  };

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

/** How a route or a stream asks the gate. */
export function peerScreen({ decide }: PeerGate): Screen {
  return { maxBytes: PROXY_HEADER_MAX, timeoutMs: limits.ingressPeerMs, decide };
}
