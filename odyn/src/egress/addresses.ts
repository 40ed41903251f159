import { SocketAddress } from 'node:net';
import { type Cidr, cidrContains, type IpAddress, parseCidr } from '@enclaver/manifest';

const MAPPED = parseCidr('::ffff:0:0/96');
/** Prefixes whose last 32 bits are an IPv4 address that is reached in the end: deprecated ::/96, and NAT64 (RFC 6052). */
const EMBEDDING = [parseCidr('::/96'), parseCidr('64:ff9b::/96')];
const UNEMBEDDED = [parseCidr('::/128'), parseCidr('::1/128')];

/** Never a destination that a general rule can mean (RFC 6890): this machine, this link, nobody, everybody. */
const SPECIAL: readonly { readonly cidr: Cidr; readonly name: string }[] = [
  { cidr: parseCidr('0.0.0.0/8'), name: 'unspecified' },
  { cidr: parseCidr('127.0.0.0/8'), name: 'loopback' },
  { cidr: parseCidr('169.254.0.0/16'), name: 'link-local' },
  { cidr: parseCidr('224.0.0.0/4'), name: 'multicast' },
  { cidr: parseCidr('255.255.255.255/32'), name: 'broadcast' },
  { cidr: parseCidr('::/128'), name: 'unspecified' },
  { cidr: parseCidr('::1/128'), name: 'loopback' },
  { cidr: parseCidr('fe80::/10'), name: 'link-local' },
  { cidr: parseCidr('ff00::/8'), name: 'multicast' },
  // Instance metadata of EC2 over IPv6: as little meant by a general rule as 169.254.169.254
  { cidr: parseCidr('fd00:ec2::254/128'), name: 'link-local' },
];

/** An IPv4-mapped IPv6 address is the IPv4 address: the kernel dials that one. */
export function unmapped(address: IpAddress): IpAddress {
  return cidrContains(MAPPED, address) ? lastFour(address) : address;
}

/** The same for a range of a rule. */
export function unmappedRange(cidr: Cidr): Cidr {
  if (cidr.prefix < MAPPED.prefix || !cidrContains(MAPPED, cidr)) return cidr;
  return { ...lastFour(cidr), prefix: cidr.prefix - MAPPED.prefix };
}

/** All addresses that a packet to this one may end up at: itself, and one embedded in it. */
export function reachedBy(address: IpAddress): IpAddress[] {
  const own = unmapped(address);
  // :: and ::1 lie in ::/96 but are no IPv4 addresses (RFC 4291, section 2.5.5.1)
  const embeds =
    EMBEDDING.some((cidr) => cidrContains(cidr, own)) && !UNEMBEDDED.some((cidr) => cidrContains(cidr, own));
  return embeds ? [own, lastFour(own)] : [own];
}

/** The special range that an address is in. */
export function specialRange(address: IpAddress): { readonly cidr: Cidr; readonly name: string } | undefined {
  return SPECIAL.find(({ cidr }) => cidrContains(cidr, address));
}

/** Whether all of `inner` is in `outer`. */
export function rangeWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.prefix >= outer.prefix && cidrContains(outer, inner);
}

export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.bytes.every((byte, index) => byte === b.bytes[index]);
}

/** Shortest text form, without brackets. */
export function formatAddress({ family, bytes }: IpAddress): string {
  if (family === 4) return bytes.join('.');
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

function lastFour({ bytes }: IpAddress): IpAddress {
  return { family: 4, bytes: bytes.slice(-4) };
}
