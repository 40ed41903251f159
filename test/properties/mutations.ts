import fc from 'fast-check';

type Mutation = (bytes: Buffer) => Buffer;

/** Values that lengths, counts and tags break at. */
const EDGES = [0x00, 0x01, 0x1f, 0x7f, 0x80, 0x9f, 0xbf, 0xff];

/** The same bytes with one to three changes: bits flipped, bytes set, put in, taken out, moved, the end cut off. Never equal. */
export function mutationsOf(bytes: Uint8Array): fc.Arbitrary<Buffer> {
  const original = Buffer.from(bytes);
  return fc
    .array(mutation(original), { minLength: 1, maxLength: 3 })
    .map((mutations) => mutations.reduce<Buffer>((changed, apply) => apply(changed), original))
    .filter((changed) => !changed.equals(original));
}

/** The same for text of which each character is one byte. */
export function textMutationsOf(text: string): fc.Arbitrary<string> {
  return mutationsOf(Buffer.from(text, 'latin1')).map((bytes) => bytes.toString('latin1'));
}

function mutation(original: Buffer): fc.Arbitrary<Mutation> {
  const at = fc.nat(original.length - 1);
  const some = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc.constantFrom(...EDGES).map((edge) => Uint8Array.of(edge)),
  );
  const length = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: original.length }));
  return fc.oneof(
    fc.tuple(at, fc.nat(7)).map(([place, bit]) => flip(place, bit)),
    fc.tuple(at, some).map(([place, put]) => replace(place, put.length, put)),
    fc.tuple(at, some).map(([place, put]) => replace(place, 0, put)),
    fc.tuple(at, length).map(([place, count]) => replace(place, count, Buffer.alloc(0))),
    fc.tuple(at, at, length).map(([place, from, count]) => replace(place, 0, original.subarray(from, from + count))),
    at.map((place) => (changed: Buffer) => changed.subarray(0, place)),
  );
}

function flip(place: number, bit: number): Mutation {
  return (bytes) => {
    const changed = Buffer.from(bytes);
    if (place < changed.length) changed[place] = (changed[place] ?? 0) ^ (1 << bit);
    return changed;
  };
}

function replace(place: number, count: number, by: Uint8Array): Mutation {
  return (bytes) => Buffer.concat([bytes.subarray(0, place), by, bytes.subarray(place + count)]);
}
