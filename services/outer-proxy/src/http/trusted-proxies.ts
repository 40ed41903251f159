import type { IncomingHttpHeaders } from 'node:http';
import { type Cidr, cidrContains, parseCidr, parseIpAddress } from '@enclaver/manifest';
import type { Client } from './message.ts';

/** Load balancers in front of this parent. What they say of a client is taken, and what anybody else says is not. */
export class TrustedProxies {
  readonly #ranges: readonly Cidr[];

  /** `ADDRESS` or `ADDRESS/PREFIX` each. @throws RangeError */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((range) => parseCidr(range));
  }

  /**
   * Who asks. Each proxy adds the address of its own client at the end of `X-Forwarded-For`: read from there, the first that
   * is no trusted proxy is the client, and what stands before it is only the client's word.
   */
  clientOf(peer: Client, headers: IncomingHttpHeaders): Client {
    if (!this.#has(peer.address)) return peer;
    let address = peer.address;
    const words = headers['x-forwarded-for']?.toString().split(',') ?? [];
    for (const word of words.reverse()) {
      const said = addressIn(word.trim());
      if (said === undefined) break;
      address = said;
      if (!this.#has(said)) break;
    }
    const proto = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
    const port = /^[1-9]\d{0,4}$/.exec(headers['x-forwarded-port']?.toString() ?? '')?.[0];
    return { address, port: undefined, localPort: port === undefined ? peer.localPort : Number(port), proto };
  }

  #has(text: string): boolean {
    const address = parseIpAddress(text);
    return address !== undefined && this.#ranges.some((range) => cidrContains(range, address));
  }
}

/** Some load balancers add the client's port: `192.0.2.1:40000`, `[2001:db8::1]:40000`. */
function addressIn(word: string): string | undefined {
  const bare = /^\[([0-9a-f:.]+)\](?::\d+)?$/i.exec(word)?.[1] ?? /^([\d.]+):\d+$/.exec(word)?.[1] ?? word;
  return parseIpAddress(bare) === undefined ? undefined : bare;
}
