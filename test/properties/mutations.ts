import fc from 'fast-check';

/** A change of bytes; it finds its place in bytes of any length. */
export type Mutation = (bytes: Buffer) => Buffer;

/** Values that lengths, counts and tags break at. */
const EDGES = [0x00, 0x01, 0x1f, 0x7f, 0x80, 0x9f, 0xbf, 0xff];

const place = fc.nat();
const put = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 8 }),
  fc.constantFrom(...EDGES).map((edge) => Uint8Array.of(edge)),
);
/** A few bytes, or up to all of them. */
const count = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8192 }));

/** A bit flipped, bytes set, put in, taken out or copied, the end cut off. */
const one: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat(7)).map(([at, bit]) => flip(at, bit)),
  fc.tuple(place, put).map(([at, bytes]) => replace(at, bytes.length, () => bytes)),
  fc.tuple(place, put).map(([at, bytes]) => replace(at, 0, () => bytes)),
  fc.tuple(place, count).map(([at, length]) => replace(at, length, () => Buffer.alloc(0))),
  fc.tuple(place, place, count).map(([at, from, length]) => replace(at, 0, (bytes) => part(bytes, from, length))),
  place.map((at) => replace(at, Number.POSITIVE_INFINITY, () => Buffer.alloc(0))),
);

/** One to three changes. They may cancel each other out, or find nothing to change. */
export const mutation: fc.Arbitrary<Mutation> = fc
  .array(one, { minLength: 1, maxLength: 3 })
  .map((each) => (bytes) => each.reduce<Buffer>((changed, apply) => apply(changed), bytes));

/** Bytes that are not these, but nearly. */
export function mutationsOf(bytes: Uint8Array): fc.Arbitrary<Buffer> {
  const original = Buffer.from(bytes);
  return mutation.map((apply) => apply(original)).filter((changed) => !changed.equals(original));
}

/** The same for text of which each character is one byte. */
export function textMutationsOf(text: string): fc.Arbitrary<string> {
  return mutationsOf(Buffer.from(text, 'latin1')).map((bytes) => bytes.toString('latin1'));
}

function flip(at: number, bit: number): Mutation {
  return (bytes) => {
    const changed = Buffer.from(bytes);
    const index = at % Math.max(1, bytes.length);
    if (bytes.length > 0) changed[index] = (changed[index] ?? 0) ^ (1 << bit);
    return changed;
  };
}

function replace(at: number, length: number, by: Mutation | (() => Uint8Array)): Mutation {
  return (bytes) => {
    const index = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, index), by(bytes), bytes.subarray(index + length)]);
  };
}

function part(bytes: Buffer, from: number, length: number): Buffer {
  const index = from % (bytes.length + 1);
  return bytes.subarray(index, index + length);
}
