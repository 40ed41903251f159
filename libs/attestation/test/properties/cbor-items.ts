import fc from 'fast-check';

/** An item, and bytes that say it in one of the many ways of RFC 8949. */
export interface Item {
  readonly value: Value;
  readonly bytes: Buffer;
}

/** As `decodeCbor` gives it; integers are bigint here, whatever their size. */
export type Value = bigint | string | Uint8Array | boolean | null | Value[] | Map<bigint | string, Value>;

const MAX_LONG = 2n ** 64n - 1n;

const argument = fc.oneof(
  fc.bigInt(0n, 30n),
  fc.constantFrom(2n ** 8n - 1n, 2n ** 8n, 2n ** 16n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, MAX_LONG),
  fc.bigInt(0n, MAX_LONG),
);

/** A head in one of the widths that the argument fits into: longer than need be is allowed. */
function head(major: number, value: bigint, wider: number): Buffer {
  const shortest = value < 24n ? 0 : value < 2n ** 8n ? 1 : value < 2n ** 16n ? 2 : value < 2n ** 32n ? 4 : 8;
  const widths = [0, 1, 2, 4, 8].filter((width) => width >= shortest);
  const width = widths[wider % widths.length] ?? 8;
  if (width === 0) return Buffer.of((major << 5) | Number(value));
  const bytes = Buffer.from(value.toString(16).padStart(2 * width, '0'), 'hex');
  return Buffer.concat([Buffer.of((major << 5) | (24 + Math.log2(width))), bytes]);
}

const wider = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4) });

const integer: fc.Arbitrary<Item & { value: bigint }> = fc
  .tuple(argument, fc.boolean(), wider)
  .map(([value, isNegative, width]) => ({
    value: isNegative ? -1n - value : value,
    bytes: head(isNegative ? 1 : 0, value, width),
  }));

/** Whole or in chunks. */
function string(major: number, content: Buffer, cuts: readonly number[], width: number): Buffer {
  const whole = (part: Buffer) => Buffer.concat([head(major, BigInt(part.length), width), part]);
  if (cuts.length === 0) return whole(content);
  const places = [0, ...cuts.map((cut) => cut % (content.length + 1)).sort((a, b) => a - b), content.length];
  const parts = places.slice(1).map((end, index) => content.subarray(places[index], end));
  return Buffer.concat([Buffer.of((major << 5) | 31), ...parts.map(whole), Buffer.of(0xff)]);
}

const cuts = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(fc.nat(50), { maxLength: 3 }) },
);
const bytes: fc.Arbitrary<Item> = fc.tuple(fc.uint8Array({ maxLength: 40 }), cuts, wider).map(([value, at, width]) => ({
  value,
  bytes: string(2, Buffer.from(value), at, width),
}));
// Each chunk of a text is UTF-8 by itself (RFC 8949, section 3.2.3): only ASCII can be cut anywhere
const text: fc.Arbitrary<Item & { value: string }> = fc
  .oneof(
    fc.tuple(fc.string({ unit: 'binary-ascii', maxLength: 20 }), cuts, wider),
    fc.tuple(fc.string({ unit: 'binary', maxLength: 10 }), fc.constant([]), wider),
  )
  .map(([value, at, width]) => ({ value, bytes: string(3, Buffer.from(value), at, width) }));

const simple: fc.Arbitrary<Item> = fc
  .constantFrom<[boolean | null, number]>([false, 0xf4], [true, 0xf5], [null, 0xf6])
  .map(([value, byte]) => ({ value, bytes: Buffer.of(byte) }));

const open = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });

function container(major: number, count: number, members: readonly Buffer[], isOpen: boolean, width: number): Buffer {
  if (isOpen) return Buffer.concat([Buffer.of((major << 5) | 31), ...members, Buffer.of(0xff)]);
  return Buffer.concat([head(major, BigInt(count), width), ...members]);
}

/** Items of all kinds that are read, at most 5 levels deep. */
export const item: fc.Arbitrary<Item> = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 4 },
    integer,
    bytes,
    text,
    simple,
    fc.tuple(fc.array(tie('item'), { maxLength: 4 }), open, wider).map(([items, isOpen, width]) => ({
      value: items.map(({ value }) => value),
      bytes: container(
        4,
        items.length,
        items.map((each) => each.bytes),
        isOpen,
        width,
      ),
    })),
    fc
      .tuple(
        fc.uniqueArray(fc.tuple(fc.oneof(integer, text), tie('item')), {
          maxLength: 4,
          selector: ([{ value }]) => `${typeof value} ${value}`,
        }),
        open,
        wider,
      )
      .map(([entries, isOpen, width]) => ({
        value: new Map(entries.map(([key, { value }]) => [key.value, value])),
        bytes: container(
          5,
          entries.length,
          entries.flat().map((each) => each.bytes),
          isOpen,
          width,
        ),
      })),
  ),
})).item;
