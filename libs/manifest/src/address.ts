import { isIPv6, SocketAddress } from 'node:net';

/** An IP address: 4 or 16 bytes in network order. */
export interface IpAddress {
  family: 4 | 6;
  bytes: Uint8Array;
}

/** A range of addresses; host bits of `bytes` are zero. */
export interface Cidr extends IpAddress {
  /** Leading bits that count: 0 to 32, or 0 to 128. */
  prefix: number;
}

/** Strict forms only: four decimal numbers without leading zeros, or IPv6 without brackets and zone. */
export function parseIpAddress(text: string): IpAddress | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return { family: 4, bytes: v4 };
  const v6 = parseV6(text);
  return v6 === undefined ? undefined : { family: 6, bytes: v6 };
}

/** Shortest text form, without brackets. */
export function formatAddress({ family, bytes }: IpAddress): string {
  if (family === 4) return bytes.join('.');
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

/** `ADDRESS`, `ADDRESS/PREFIX`, or for IPv4 `ADDRESS/NETMASK`. Throws RangeError that says what is wrong. */
export function parseCidr(text: string): Cidr {
  const [addressText = '', prefixText, ...more] = text.split('/');
  if (more.length > 0) throw new RangeError('more than one "/"');
  const address = parseIpAddress(addressText);
  if (address === undefined) throw new RangeError(`"${addressText}" is not an IPv4 or IPv6 address`);
  const bits = address.bytes.length * 8;
  const prefix = prefixText === undefined ? bits : parsePrefix(prefixText, address.family, bits);
  const bytes = address.bytes.map((byte, index) => byte & maskByte(prefix, index));
  return { family: address.family, bytes, prefix };
}

/** Whether an address lies in a range. Families never match each other: an IPv4-mapped IPv6 address is IPv6. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.family !== address.family) return false;
  return cidr.bytes.every((byte, index) => byte === ((address.bytes[index] ?? 0) & maskByte(cidr.prefix, index)));
}

/** Whether all of `inner` is in `outer`. */
export function rangeWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.prefix >= outer.prefix && cidrContains(outer, inner);
}

/** An IPv4-mapped IPv6 address is the IPv4 address: the kernel dials that one. */
export function unmapped(address: IpAddress): IpAddress {
  return cidrContains(MAPPED, address) ? lastFour(address) : address;
}

/** The same for a range of a rule. */
export function unmappedRange(cidr: Cidr): Cidr {
  if (cidr.prefix < MAPPED.prefix || !cidrContains(MAPPED, cidr)) return cidr;
  return { ...lastFour(cidr), prefix: cidr.prefix - MAPPED.prefix };
}

/** `::ffff:0:0/96` */
const MAPPED: Cidr = {
  family: 6,
  bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0),
  prefix: 96,
};

function lastFour({ bytes }: IpAddress): IpAddress {
  return { family: 4, bytes: bytes.slice(-4) };
}

function maskByte(prefix: number, index: number): number {
  const ones = Math.min(8, Math.max(0, prefix - 8 * index));
  return (0xff << (8 - ones)) & 0xff;
}

function parsePrefix(text: string, family: 4 | 6, bits: number): number {
  if (/^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= bits) return Number(text);
  const mask = family === 4 ? parseV4(text) : undefined;
  if (mask === undefined) throw new RangeError(`the prefix "${text}" is not a number from 0 to ${bits}`);
  const prefix = mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
  if (!mask.every((byte, index) => byte === maskByte(prefix, index))) {
    throw new RangeError(`the netmask "${text}" has a gap`);
  }
  return prefix;
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  const valid = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
  return valid ? Uint8Array.from(parts, Number) : undefined;
}

function parseV6(text: string): Uint8Array | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  // An embedded IPv4 address stands for the last two groups.
  const lastColon = text.lastIndexOf(':');
  const v4 = parseV4(text.slice(lastColon + 1));
  const [a = 0, b = 0, c = 0, d = 0] = v4 ?? [];
  const plain =
    v4 === undefined
      ? text
      : `${text.slice(0, lastColon + 1)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [head = '', tail] = plain.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
