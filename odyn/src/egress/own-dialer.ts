import { authorityOf, DestinationError, Policy, parseDestination, sameAddress } from '@enclaver/egress-policy';
import { unmapped } from '@enclaver/manifest';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import { DialError, dial } from './dial.ts';

const EACCES = 13;
const EPROTO = 71;

/**
 * odyn's own way out, which the app cannot use and whose destinations the app's policy need not allow. They are fixed by
 * what is measured, and patterns as in `egress.allow`. Where a name leads is not looked at, since behind every name TLS proves
 * who answers.
 */
export class OwnDialer {
  readonly #transport: VsockTransport;
  readonly #policy: Policy;

  /** @throws EgressPatternError */
  constructor(transport: VsockTransport, destinations: readonly string[]) {
    this.#transport = transport;
    this.#policy = new Policy({ allow: destinations, deny: [] });
  }

  /**
   * A connection whose server has not spoken yet. The stream is paused. Brackets around IPv6 are optional.
   * @throws DialError
   */
  async connect(host: string, port: number, signal: AbortSignal): Promise<VsockStream> {
    const destination = this.#destination(host, port);
    const { stream, address, head } = await dial(this.#transport, destination, signal);
    const elsewhere = destination.kind === 'ip' && !sameAddress(destination.address, unmapped(address));
    if (!elsewhere && head.length === 0) return stream;
    stream.destroy();
    const what = elsewhere ? 'the parent dialled another address' : 'the server spoke before it was asked';
    throw new DialError(EPROTO, `${authorityOf(destination)}: ${what}`);
  }

  #destination(host: string, port: number) {
    try {
      const destination = parseDestination(host, port);
      // Who asks is odyn itself: another spelling of a host is a mistake of ours
      const isPlain = destination.host === host.replace(/^\[|\]$/g, '');
      if (isPlain && this.#policy.decide(destination).allowed) return destination;
    } catch (error) {
      if (!(error instanceof DestinationError)) throw error;
    }
    throw new DialError(EACCES, `${JSON.stringify(host)}:${port} is none of the destinations that the image names`);
  }
}
