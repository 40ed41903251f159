import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../../test/properties/cases.ts';
import { mutationsOf } from '../../../../test/properties/mutations.ts';
import {
  AttestationError,
  type AttestationErrorCode,
  MAX_DOCUMENT_BYTES,
  parseDocument,
  verifyDocument,
} from '../../src/index.ts';
import { at, type Cbor, encode, makeChain, makeDocument } from '../forge.ts';
import { documentBytes, readVector, realDocuments } from '../support.ts';

/** A document that is taken, and how. */
interface Good {
  readonly bytes: Uint8Array;
  readonly options: {
    readonly at: Date;
    readonly roots?: Uint8Array[];
    readonly expect: { readonly allowDebug: true };
  };
}

const expect = { allowDebug: true } as const;
const { root_pem, cases } = JSON.parse(readVector('synthetic.json')) as {
  root_pem: string;
  cases: { document_b64: string; at: string; expect: string }[];
};
const syntheticRoot = new Uint8Array(Buffer.from(root_pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'));

/** All good vectors: of real hardware, and made for the tests. */
const vectors: readonly Good[] = [
  ...realDocuments.map(([, { file, timestamp_ms }]) => ({
    bytes: documentBytes(file),
    options: { at: new Date(timestamp_ms), expect },
  })),
  ...cases
    .filter((each) => each.expect === 'valid')
    .map((each) => ({
      bytes: new Uint8Array(Buffer.from(each.document_b64, 'base64')),
      options: { at: new Date(each.at), roots: [syntheticRoot], expect },
    })),
];

/** The code of a document that is refused; undefined for one that is taken, which must then say what the good one says. */
async function verdictOn(changed: Uint8Array, { bytes, options }: Good): Promise<AttestationErrorCode | undefined> {
  try {
    assert.deepEqual(await verifyDocument(changed, options), parseDocument(bytes));
    return undefined;
  } catch (error) {
    if (error instanceof AttestationError) return error.code;
    throw error;
  }
}

const chain = await makeChain();
const [root = new Uint8Array()] = chain;

describe('attestation documents, changed and at random', () => {
  it('are all taken as they are', async () => {
    for (const good of vectors) assert.equal(await verdictOn(good.bytes, good), undefined);
  });

  it('say nothing new when they are changed anywhere', async () => {
    const changed = fc
      .constantFrom(...vectors)
      .chain((good) => mutationsOf(good.bytes).map((bytes) => ({ good, bytes })));
    const codes = new Set<AttestationErrorCode | undefined>();
    await holds(
      fc.asyncProperty(changed, async ({ good, bytes }) => {
        codes.add(await verdictOn(bytes, good));
      }),
      1_000,
    );
    // Deep enough to reach the signature
    assert.ok(codes.has('ATTESTATION_CBOR') && codes.has('ATTESTATION_SIGNATURE'), [...codes].join());
  });

  it('are never taken with one bit flipped in header, payload or signature', async () => {
    const place = fc.constantFrom(...vectors).chain((good) => {
      const { protectedHeader, payload, signature } = parseDocument(good.bytes);
      const parts = [protectedHeader, payload, signature];
      return fc.tuple(fc.constantFrom(...parts), fc.nat(), fc.nat(7)).map(([part, offset, bit]) => ({
        good,
        at: Buffer.from(good.bytes).indexOf(part) + (offset % part.length),
        bit,
      }));
    });
    await holds(
      fc.asyncProperty(place, async ({ good, at: index, bit }) => {
        const changed = Uint8Array.from(good.bytes);
        changed[index] = (changed[index] ?? 0) ^ (1 << bit);
        assert.notEqual(await verdictOn(changed, good), undefined);
      }),
      200,
    );
  });

  it('are refused as random bytes, bare and within COSE_Sign1', async () => {
    const [good = assert.fail()] = vectors;
    const { protectedHeader, signature } = parseDocument(good.bytes);
    const bytes = fc.uint8Array({ maxLength: 200 });
    const wrapped = fc.tuple(bytes, bytes).map(([header, payload]) => encode([header, new Map(), payload, signature]));
    const inner = bytes.map((payload) => encode([protectedHeader, new Map(), payload, signature]));
    await holds(
      fc.asyncProperty(fc.oneof(bytes, wrapped, inner), async (input) => {
        assert.notEqual(await verdictOn(input, good), undefined);
      }),
      1_000,
    );
  });

  it('are taken, well signed, when each field is within the bounds of the specification, and only then', async () => {
    const seen = { taken: 0, refused: 0 };
    await holds(
      fc.asyncProperty(fields, async ({ changes, isRight }) => {
        const document = await makeDocument(chain, changes);
        // What is too large as a whole is so before anything else
        const expected = isRight && document.length <= MAX_DOCUMENT_BYTES;
        seen[expected ? 'taken' : 'refused'] += 1;
        const found = await verifyDocument(document, { roots: [root], at, expect }).then(
          () => 'taken',
          (error: unknown) => (error instanceof AttestationError ? error.code : Promise.reject(error)),
        );
        const refused = document.length > MAX_DOCUMENT_BYTES ? 'ATTESTATION_TOO_LARGE' : 'ATTESTATION_FIELD';
        assert.equal(found, expected ? 'taken' : refused);
      }),
      200,
    );
    assert.ok(Math.min(seen.taken, seen.refused) > 0.2 * (seen.taken + seen.refused), JSON.stringify(seen));
  });

  it('may have a field that is not known', async () => {
    const later = fc.letrec<{ item: Cbor }>((tie) => ({
      item: fc.oneof(
        { maxDepth: 4 },
        fc.integer({ min: -1000, max: 2 ** 40 }),
        fc.constant(null),
        fc.uint8Array({ maxLength: 50 }),
        fc.string({ unit: 'binary' }),
        fc.array(tie('item'), { maxLength: 5 }),
        fc
          .array(fc.tuple(fc.oneof(fc.string(), fc.integer({ min: -9, max: 2 ** 40 })), tie('item')), { maxLength: 5 })
          .map((entries) => new Map(entries)),
      ),
    })).item;
    await holds(
      fc.asyncProperty(later, async (item) => {
        const document = await makeDocument(chain, { later: item });
        if (document.length <= MAX_DOCUMENT_BYTES) await verifyDocument(document, { roots: [root], at, expect });
      }),
      100,
    );
  });
});

/** A value of a field, and whether nsm-api's attestation_process.md, 3.2.2.2, allows it. */
interface Field {
  readonly value: Cbor | undefined;
  readonly isRight: boolean;
}

const is =
  (isRight: boolean) =>
  (value: Cbor | undefined): Field => ({ value, isRight });
/** Right far more often than not, since one wrong field is enough. */
const mostly = (right: fc.Arbitrary<Cbor | undefined>, wrong: fc.Arbitrary<Cbor | undefined>): fc.Arbitrary<Field> =>
  fc.oneof({ weight: 12, arbitrary: right.map(is(true)) }, { weight: 1, arbitrary: wrong.map(is(false)) });
const bytesOf = (...sizes: number[]) => fc.constantFrom(...sizes).map((size) => new Uint8Array(size).fill(1));
const registers = (indexes: fc.Arbitrary<number>, sizes: number[], minLength: number) =>
  fc
    .uniqueArray(fc.tuple(indexes, bytesOf(...sizes)), { minLength, maxLength: 32, selector: ([index]) => index })
    .map((entries) => new Map(entries));
const index = fc.nat(31);
const option = (min: number) =>
  mostly(
    fc.oneof(fc.constantFrom(null, undefined), bytesOf(min, 1, 512, 1024)),
    fc.oneof(bytesOf(1025, min === 1 ? 0 : 2000), fc.constantFrom<Cbor>('text', 7, [])),
  );

const fields = fc
  .record({
    module_id: mostly(
      fc.string({ minLength: 1, maxLength: 80 }),
      fc.constantFrom('', null, undefined, 1, new Uint8Array(3)),
    ),
    digest: mostly(fc.constant('SHA384'), fc.constantFrom('SHA256', 'sha384', '', null, undefined)),
    timestamp: mostly(
      fc.integer({ min: 1, max: 8_640_000_000_000_000 }),
      fc.constantFrom(0, -1, 8_640_000_000_000_001, '1', null, undefined),
    ),
    pcrs: mostly(
      registers(index, [32, 48, 64], 1),
      fc.oneof(
        registers(fc.constantFrom(-1, 32, 100), [48], 1),
        registers(index, [0, 31, 33, 47, 49, 65], 1),
        fc.constantFrom<Cbor | undefined>(
          new Map(),
          new Map([['0', new Uint8Array(48)]]),
          [],
          null,
          undefined,
          new Map(Array.from({ length: 33 }, (_, each) => [each, new Uint8Array(48)])),
        ),
      ),
    ),
    public_key: option(1),
    user_data: option(0),
    nonce: option(0),
  })
  .map((record) => ({
    changes: Object.fromEntries(Object.entries(record).map(([name, { value }]) => [name, value])),
    isRight: Object.values(record).every(({ isRight }) => isRight),
  }));
