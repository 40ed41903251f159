import fc from 'fast-check';
import type { Address, Pattern, Ports, Rules, Target } from './naive-policy.ts';

/** A thing and one of the texts it can be written as. */
export interface Spelled<Thing> {
  readonly is: Thing;
  readonly text: string;
}

/** Few values, so that rules and targets meet; among them the edges of every range that is special. */
const LABELS = ['a', 'b', 'com', 'host', 'xn--mnchen-3ya'];
const V4 = [
  0n,
  5n,
  0x0a000001n,
  0x0affffffn,
  0x7f000001n,
  0xa9fea9fen,
  0xa9fec0den,
  0xc0000201n,
  0x643fffffn,
  0x64400000n,
  0xac1fffffn,
  0xac200000n,
  0xc0a8ffffn,
  0xdfffffffn,
  0xe0000000n,
  0xfffffffen,
  0xffffffffn,
];
const V6 = [
  0n,
  1n,
  5n,
  0xfe80n << 112n,
  0xfebfn << 112n,
  0xfec0n << 112n,
  0xff02n << 112n,
  (0x20010db8n << 96n) | 1n,
  (0xfd000ec2n << 96n) | 0x254n,
  0xfcn << 120n,
  (0xfen << 120n) - 1n,
];
const PREFIXES6 = [0, 8, 10, 16, 32, 80, 96, 100, 104, 112, 127, 128];

const v4 = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...V4) },
  { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 32n - 1n) },
);
/** Plain, mapped, compatible and NAT64. */
const v6 = fc.oneof(
  fc.constantFrom(...V6),
  fc.tuple(fc.constantFrom(0xffffn, 0n, 0x64ff9bn << 64n), v4).map(([high, low]) => (high << 32n) | low),
  fc.bigInt(0n, 2n ** 128n - 1n),
);
const address: fc.Arbitrary<Address> = fc.oneof(
  v4.map((value) => ({ version: 4 as const, value })),
  v6.map((value) => ({ version: 6 as const, value })),
);
const port = fc.constantFrom(1, 25, 80, 443, 65535);
const label = fc.constantFrom(...LABELS);

const upper = (spelled: string, flags: number): string =>
  [...spelled].map((character, index) => ((flags >> (index % 31)) & 1 ? character.toUpperCase() : character)).join('');
const cased = (text: string) => fc.nat().map((flags) => upper(text, flags));

/** As `inet_aton` and every resolver reads it: one to four numbers, each in decimal, octal or hexadecimal. */
function v4Text(value: bigint): fc.Arbitrary<string> {
  const number = (one: bigint) =>
    fc.constantFrom(
      `${one}`,
      `0${one === 0n ? '' : one.toString(8)}`,
      `0x${one.toString(16)}`,
      `0X00${one.toString(16)}`,
    );
  const bytes = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n);
  const counted = fc.integer({ min: 1, max: 4 }).chain((count) => {
    const last = value & ((1n << (8n * BigInt(5 - count))) - 1n);
    return fc.tuple(...bytes.slice(0, count - 1).map(number), number(last)).map((parts) => parts.join('.'));
  });
  const dotted = counted.chain((text) => fc.constantFrom(text, `${text}.`));
  const mapped = v6Text((0xffffn << 32n) | value);
  return fc.oneof({ weight: 3, arbitrary: dotted }, { weight: 1, arbitrary: mapped });
}

/** Whole, with the longest zeros left out, or with IPv4 at the end; with or without brackets. */
function v6Text(value: bigint): fc.Arbitrary<string> {
  return v6Bare(value).chain((bare) => fc.constantFrom(bare, `[${bare}]`));
}

function v6Bare(value: bigint): fc.Arbitrary<string> {
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  const hex = groups.map((group) => group.toString(16));
  const low = value & 0xffffffffn;
  const dotted = [24n, 16n, 8n, 0n].map((shift) => (low >> shift) & 255n).join('.');
  const shorten = (text: string): string => text.replace(/(^|:)0(:0)+(:|$)/, '::');
  const forms = [
    hex.join(':'),
    hex.map((group) => group.padStart(4, '0')).join(':'),
    shorten(hex.join(':')),
    shorten(`${hex.slice(0, 6).join(':')}:`).replace(/([^:]):$/, '$1:') + dotted,
  ];
  return fc.constantFrom(...forms).chain(cased);
}

export const target: fc.Arbitrary<Spelled<Target>> = fc.oneof(
  fc.tuple(fc.array(label, { minLength: 1, maxLength: 5 }), port).chain(([labels, at]) => {
    const text = labels.join('.');
    // A single label `host` is the keyword
    const is: Target = text === 'host' ? { kind: 'host', port: at } : { kind: 'name', labels, port: at };
    return nameText(text).map((spelled) => ({ is, text: spelled }));
  }),
  fc.tuple(address, port).chain(([one, at]) =>
    (one.version === 4 ? v4Text(one.value) : v6Text(one.value)).map((text) => ({
      is: { kind: 'address' as const, address: one, port: at },
      text,
    })),
  ),
  port.chain((at) => nameText('host').map((text) => ({ is: { kind: 'host' as const, port: at }, text }))),
);

/** Letter case, a closing dot, the other script, full-width letters. */
function nameText(name: string): fc.Arbitrary<string> {
  const wide = [...name]
    .map((one) => (/[a-z]/.test(one) ? String.fromCodePoint((one.codePointAt(0) ?? 0) + 0xfee0) : one))
    .join('');
  const scripts = [name, name.replaceAll('xn--mnchen-3ya', 'münchen'), ...(name.includes('xn--') ? [] : [wide])];
  return fc.constantFrom(...scripts, ...scripts.map((text) => `${text}.`)).chain(cased);
}

const ports: fc.Arbitrary<Ports | undefined> = fc.option(
  fc.tuple(port, port).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
  { nil: undefined, freq: 2 },
);

function withPorts(text: string, range: Ports | undefined): string {
  if (range === undefined) return text;
  return `${text}:${range.from === range.to ? range.from : `${range.from}-${range.to}`}`;
}

const pattern: fc.Arbitrary<Spelled<Pattern>> = fc.oneof(
  fc
    .tuple(fc.array(fc.oneof(label, fc.constantFrom('*', '**')), { minLength: 1, maxLength: 4 }), ports)
    .map(([labels, range]) => {
      const text = labels.join('.');
      return {
        is: text === 'host' ? { kind: 'host' as const, ports: range } : { kind: 'name' as const, labels, ports: range },
        text: withPorts(text, range),
      };
    }),
  fc.tuple(v4, fc.integer({ min: 0, max: 32 }), ports).map(([value, prefix, range]) => ({
    is: { kind: 'range' as const, version: 4 as const, value, prefix, ports: range },
    text: withPorts(`${[24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')}/${prefix}`, range),
  })),
  fc.tuple(v6, fc.constantFrom(...PREFIXES6), ports).chain(([value, prefix, range]) =>
    v6Bare(value).map((bare) => ({
      is: { kind: 'range' as const, version: 6 as const, value, prefix, ports: range },
      text: range === undefined ? `${bare}/${prefix}` : withPorts(`[${bare}/${prefix}]`, range),
    })),
  ),
  ports.map((range) => ({ is: { kind: 'host' as const, ports: range }, text: withPorts('host', range) })),
);

export interface Policies {
  readonly is: Rules;
  readonly text: { readonly allow: readonly string[]; readonly deny: readonly string[] };
}

export const policies: fc.Arbitrary<Policies> = fc
  .tuple(fc.array(pattern, { maxLength: 4 }), fc.array(pattern, { maxLength: 2 }))
  .map(([allow, deny]) => ({
    is: { allow: allow.map(({ is }) => is), deny: deny.map(({ is }) => is) },
    text: { allow: allow.map(({ text }) => text), deny: deny.map(({ text }) => text) },
  }));

/** What the parent says that it has dialled. */
export const dialled: fc.Arbitrary<Address> = address;
