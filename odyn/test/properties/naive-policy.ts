/**
 * The egress policy a second time, from docs/egress.md and without a line of the first: addresses are numbers, ranges are
 * a first and a last number, names are matched by trying everything. Slow and plain, so that it can be read beside the page.
 */
export interface Ports {
  readonly from: number;
  readonly to: number;
}

/** An address of version 4 (32 bits) or 6 (128 bits). */
export interface Address {
  readonly version: 4 | 6;
  readonly value: bigint;
}

export type Pattern = { readonly ports?: Ports | undefined } & (
  | { readonly kind: 'name'; readonly labels: readonly string[] }
  | { readonly kind: 'range'; readonly version: 4 | 6; readonly value: bigint; readonly prefix: number }
  | { readonly kind: 'host' }
);

export type Target = { readonly port: number } & (
  | { readonly kind: 'name'; readonly labels: readonly string[] }
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'host' }
);

export interface Rules {
  readonly allow: readonly Pattern[];
  readonly deny: readonly Pattern[];
}

interface Range {
  readonly version: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** "Special addresses" of the page. */
const SPECIAL: readonly Range[] = [
  range(4, 0x7f000000n, 8),
  range(6, 1n, 128),
  range(4, 0xa9fe0000n, 16),
  range(6, 0xfe80n << 112n, 10),
  range(6, 0xfd000ec2n << 96n, 32),
  range(4, 0n, 8),
  range(6, 0n, 128),
  range(4, 0xe0000000n, 4),
  range(6, 0xffn << 120n, 8),
  range(4, 0xffffffffn, 32),
];

/** "Where a name led". */
const PRIVATE: readonly Range[] = [
  range(4, 0x0a000000n, 8),
  range(4, 0x64400000n, 10),
  range(4, 0xac100000n, 12),
  range(4, 0xc0a80000n, 16),
  range(6, 0xfcn << 120n, 7),
];

/** Whether a connection may be asked for: "Patterns", "host", "Special addresses". */
export function mayAsk({ allow, deny }: Rules, target: Target): boolean {
  const inPorts = (patterns: readonly Pattern[]) => patterns.filter((pattern) => hasPort(pattern, target.port));
  if (target.kind === 'name') {
    return (
      inPorts(allow).some((one) => isNamed(one, target.labels)) &&
      !inPorts(deny).some((one) => isNamed(one, target.labels))
    );
  }
  if (target.kind === 'host') {
    const isClosed = inPorts(deny).some((one) => one.kind === 'host' || isNamed(one, ['host']));
    return inPorts(allow).some(({ kind }) => kind === 'host') && !isClosed;
  }
  const address = plain(target.address);
  const isOpen = inPorts(allow).some((one) => isIn(one, address));
  return isOpen && mayReach({ allow, deny }, address, target.port);
}

/** Whether a connection that was made may be kept: "Where a name led". */
export function mayKeep(rules: Rules, target: Target, dialled: Address): boolean {
  const led = plain(dialled);
  if (target.kind === 'host') return true;
  if (target.kind === 'name') return mayReach(rules, led, target.port) && mayBePrivate(rules, target, led);
  const asked = plain(target.address);
  return asked.version === led.version && asked.value === led.value;
}

/** Neither denied nor special, nor is the IPv4 address inside; special is fine where a pattern within the range opens it. */
function mayReach({ allow, deny }: Rules, address: Address, port: number): boolean {
  return [address, ...inside(address)].every((one) => {
    if (deny.some((pattern) => hasPort(pattern, port) && isIn(pattern, one))) return false;
    return SPECIAL.filter((special) => contains(special, one)).every((special) =>
      allow.some((pattern) => {
        const meant = rangeOf(pattern);
        return meant !== undefined && hasPort(pattern, port) && isIn(pattern, one) && within(meant, special);
      }),
    );
  });
}

/** Nothing private, or the domain is named, or the address is. */
function mayBePrivate({ allow }: Rules, target: Target & { readonly kind: 'name' }, led: Address): boolean {
  const inPorts = allow.filter((pattern) => hasPort(pattern, target.port));
  const domains = inPorts.filter(
    (one) => one.kind === 'name' && !one.labels.slice(-2).some((label) => /\*/.test(label)),
  );
  return [led, ...inside(led)]
    .filter((one) => PRIVATE.some((range) => contains(range, one)))
    .every((one) => domains.some((rule) => isNamed(rule, target.labels)) || inPorts.some((rule) => isIn(rule, one)));
}

/** "mapped into IPv6, is the IPv4 address". */
function plain({ version, value }: Address): Address {
  return version === 6 && value >> 32n === 0xffffn ? { version: 4, value: value & 0xffffffffn } : { version, value };
}

/** "An IPv4 address inside an IPv6 one (64:ff9b::/96, ::/96)"; :: and ::1 are themselves. */
function inside({ version, value }: Address): Address[] {
  if (version === 4 || value < 2n) return [];
  const high = value >> 32n;
  return high === 0n || high === 0x0064ff9bn << 64n ? [{ version: 4, value: value & 0xffffffffn }] : [];
}

function isNamed(pattern: Pattern, labels: readonly string[]): boolean {
  return pattern.kind === 'name' && fits(pattern.labels, labels);
}

/** `*` stands for one label, `**` for one or more. */
function fits([wanted, ...more]: readonly string[], labels: readonly string[]): boolean {
  if (wanted === undefined) return labels.length === 0;
  if (wanted === '**') return labels.some((_, index) => fits(more, labels.slice(index + 1)));
  return labels.length > 0 && (wanted === '*' || wanted === labels[0]) && fits(more, labels.slice(1));
}

function isIn(pattern: Pattern, address: Address): boolean {
  const found = rangeOf(pattern);
  return found !== undefined && contains(found, address);
}

/** A range of mapped addresses is the range of IPv4. */
function rangeOf(pattern: Pattern): Range | undefined {
  if (pattern.kind !== 'range') return undefined;
  const { version, value, prefix } = pattern;
  const isMapped = version === 6 && prefix >= 96 && value >> 32n === 0xffffn;
  return isMapped ? range(4, value & 0xffffffffn, prefix - 96) : range(version, value, prefix);
}

function range(version: 4 | 6, value: bigint, prefix: number): Range {
  const size = 1n << BigInt((version === 4 ? 32 : 128) - prefix);
  const first = value - (value % size);
  return { version, first, last: first + size - 1n };
}

function contains({ version, first, last }: Range, address: Address): boolean {
  return version === address.version && first <= address.value && address.value <= last;
}

function within(inner: Range, outer: Range): boolean {
  return inner.version === outer.version && outer.first <= inner.first && inner.last <= outer.last;
}

function hasPort({ ports }: Pattern, port: number): boolean {
  return ports === undefined || (ports.from <= port && port <= ports.to);
}
