import { domainToASCII } from 'node:url';
import { formatAddress, type IpAddress, parseIpAddress, unmapped } from '@enclaver/manifest';

/** Where a request wants to go, in the one spelling that the policy looks at and the parent is given. */
export type Destination = { readonly host: string; readonly port: number } & (
  | { readonly kind: 'ip'; readonly address: IpAddress }
  | { readonly kind: 'domain'; readonly labels: readonly string[] }
  /** The parent instance itself. */
  | { readonly kind: 'host' }
);

/** A host that cannot be one; the message says why. */
export class DestinationError extends Error {
  override readonly name = 'DestinationError';
  readonly code = 'DESTINATION_INVALID';
}

const HOST_KEYWORD = 'host';
const NAME_MAX = 253;
const LABEL = /^[a-z0-9_-]{1,63}$/;

/**
 * Reads `host`, with IPv6 in brackets or bare. Spellings that resolvers take for the same thing become the same here:
 * letter case, a closing dot, IDNA, and IPv4 addresses in decimal, octal, hexadecimal or short form or mapped to IPv6.
 * Whatever becomes `host` is the keyword, since that is what the parent will see.
 * @throws DestinationError
 */
export function parseDestination(host: string, port: number): Destination {
  const bracketed = host.startsWith('[') && host.endsWith(']');
  const bare = bracketed ? host.slice(1, -1) : host;
  const literal = parseIpAddress(bare);
  if (literal !== undefined && (literal.family === 6 || !bracketed)) return ip(literal, port);
  // The parser behind domainToASCII takes these apart as pieces of a URL
  if (bracketed || bare === '' || /[\s\p{Cc}/?#@\\%:[\]<>^|]/u.test(bare)) {
    throw new DestinationError(`${JSON.stringify(host.slice(0, NAME_MAX))} is not a host`);
  }
  const ascii = domainToASCII(bare);
  const number = parseIpAddress(ascii);
  if (number !== undefined) return ip(number, port);
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  const labels = name.split('.');
  if (name.length > NAME_MAX || !labels.every((label) => LABEL.test(label))) {
    throw new DestinationError(`${JSON.stringify(host.slice(0, NAME_MAX))} is not a host name`);
  }
  if (name === HOST_KEYWORD) return { kind: 'host', host: name, port };
  return { kind: 'domain', host: name, labels, port };
}

function ip(found: IpAddress, port: number): Destination {
  const address = unmapped(found);
  return { kind: 'ip', address, host: formatAddress(address), port };
}

/** `host:port` or `[address]:port`. */
export function authorityOf({ host, port }: Destination): string {
  return `${bracketed(host)}:${port}`;
}

/** As it stands in a URL. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
