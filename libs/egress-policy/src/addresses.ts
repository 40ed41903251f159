import { type Cidr, cidrContains, type IpAddress, parseCidr, unmapped } from '@enclaver/manifest';

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
  // What EC2 serves to the instance over IPv6 (metadata ::254, EKS credentials ::23, …): meant as little as 169.254.0.0/16
  { cidr: parseCidr('fd00:ec2::/32'), name: 'link-local' },
];

/** Networks of one's own (RFC 1918, 6598, 4193), such as the VPC that the parent is in. */
const PRIVATE = ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'].map(parseCidr);

/** All addresses that a packet to this one may end up at: itself, and one embedded in it. */
export function reachedBy(address: IpAddress): IpAddress[] {
  const own = unmapped(address);
  // :: and ::1 lie in ::/96 but are no IPv4 addresses (RFC 4291, section 2.5.5.1)
  const embeds =
    EMBEDDING.some((cidr) => cidrContains(cidr, own)) && !UNEMBEDDED.some((cidr) => cidrContains(cidr, own));
  return embeds ? [own, { family: 4, bytes: own.bytes.slice(-4) }] : [own];
}

/** The special range that an address is in. */
export function specialRange(address: IpAddress): { readonly cidr: Cidr; readonly name: string } | undefined {
  return SPECIAL.find(({ cidr }) => cidrContains(cidr, address));
}

export function isPrivate(address: IpAddress): boolean {
  return PRIVATE.some((cidr) => cidrContains(cidr, address));
}

export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.bytes.every((byte, index) => byte === b.bytes[index]);
}
