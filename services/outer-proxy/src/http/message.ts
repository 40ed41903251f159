import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { RequestBody } from '@enclaver/http-forward';

/** Where a request came from. */
export interface Client {
  readonly address: string;
  /** Undefined where only a load balancer knows it. */
  readonly port: number | undefined;
  /** The port that it came to: ours, or that of a load balancer. */
  readonly localPort: number;
  readonly proto: 'http' | 'https';
}

/** The other end of a connection. */
export function clientOf({ remoteAddress = '', remotePort, localPort = 0 }: Socket): Client {
  // An IPv4 client of an IPv6 listener
  return { address: remoteAddress.replace(/^::ffff:(?=[\d.]+$)/, ''), port: remotePort, localPort, proto: 'http' };
}

/** A request as it goes on to an enclave, whichever version of HTTP it came in. */
export interface Asked extends RequestBody {
  readonly method: string;
  /** `Host` as the client sent it. */
  readonly authority: string;
  /** Path and query, byte for byte, or `*`. */
  readonly target: string;
  /** Name, value, …, without `Host` and without what belongs to the connection. */
  readonly headers: readonly string[];
  /** What frames the body towards HTTP/1.1. */
  readonly framing: readonly string[];
}

/** The answer of an enclave. */
export interface Answer {
  readonly status: number;
  /** Empty where the version has none. */
  readonly reason: string;
  readonly headers: string[];
  readonly body: Readable;
  /** All of the body has come with the head. */
  readonly isWhole: boolean;
  /** HTTP/2 said with the head that nothing follows, and for gRPC that makes the head the trailers. */
  readonly isHeadOnly: boolean;
  /** Known at the end of the body. */
  trailers(): readonly string[];
}
