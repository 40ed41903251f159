import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AttestationErrorCode, MAX_DOCUMENT_BYTES, parseDocument, verifyDocument } from '../src/index.ts';
import { at, type Cbor, encode, makeChain, makeDocument, seal } from './forge.ts';
import { codeOf, genuine, genuineAt } from './support.ts';

const chain = await makeChain();
const [root = new Uint8Array()] = chain;
const base = await makeDocument(chain);
const payload = Buffer.from(parseDocument(base).payload);

/** A document whose payload has one more field, of these bytes. */
async function withField(hex: string): Promise<Uint8Array> {
  const fields = payload.subarray(1);
  return seal(Buffer.concat([Buffer.of(0xa0 | 10), fields, encode('later'), Buffer.from(hex, 'hex')]));
}

const parse = async (document: Uint8Array | Promise<Uint8Array>) => parseDocument(await document);

describe('reading an attestation document', () => {
  for (const [name, hex] of [
    ['an indefinite byte string', '5f42010243030405ff'],
    ['an indefinite text', '7f616161626163ff'],
    ['an indefinite array', '9f0102ff'],
    ['an indefinite map', 'bf6161016162 02ff'.replace(' ', '')],
    ['floats and simple values', '86f93e00fa3fc00000fb3ff8000000000000f4f5f7'],
    ['a tag', 'c11a65000000'],
    ['integers beyond 2^53', '821bffffffffffffffff3bffffffffffffffff'],
    ['six levels of arrays', '818181818100'],
    ['lengths that are longer than need be', '9b000000000000000100'],
  ] as const) {
    it(`takes ${name} in a field that is not known`, async () => {
      await verifyDocument(await withField(hex), { roots: [root], at });
    });
  }

  for (const [name, hex] of [
    ['a head that is not assigned', '1c'],
    ['a break where an item must be', 'ff'],
    ['an indefinite integer', '1f'],
    ['an indefinite tag', 'df00'],
    ['a chunk of another type', '5f6161ff'],
    ['a chunk of indefinite length', '5f5f4101ffff'],
    ['a map that breaks after a key', 'bf6161ff'],
    ['a key twice', 'a2616101616102'],
    ['a key twice, written in two ways', 'a20101180102'],
    ['a key that is a byte string', 'a1410101'],
    ['text that is not UTF-8', '61ff'],
    ['a simple value below 32 in two bytes', 'f814'],
    ['more than eight levels', '8181818181818100'],
    ['an array that claims 2^64-1 elements', '9bffffffffffffffff'],
    ['a map that claims 2^32-1 pairs', 'baffffffff'],
    ['a text that claims 2^63 bytes', '7b8000000000000000'],
    ['a field that follows the map', '0000'],
    ['the end within a head', '19'],
  ] as const) {
    it(`refuses ${name}`, async () => {
      assert.equal(await codeOf(() => parse(withField(hex))), 'ATTESTATION_CBOR');
    });
  }

  it('refuses a field twice', async () => {
    const twice = Buffer.concat([Buffer.of(0xaa), payload.subarray(1), encode('digest'), encode('SHA384')]);
    assert.equal(await codeOf(() => parse(seal(twice))), 'ATTESTATION_CBOR');
  });

  it('refuses bytes before and behind the document', async () => {
    assert.equal(await codeOf(() => parse(Buffer.concat([base, Buffer.of(0)]))), 'ATTESTATION_CBOR');
    assert.equal(await codeOf(() => parse(Buffer.concat([Buffer.of(0), base]))), 'ATTESTATION_CBOR');
  });

  it('refuses more than 16 KiB', async () => {
    assert.equal(await codeOf(() => parse(new Uint8Array(MAX_DOCUMENT_BYTES + 1))), 'ATTESTATION_TOO_LARGE');
  });

  it('refuses another tag, and a tag on the tag', async () => {
    for (const tag of ['d1', 'd2d2', 'd862']) {
      const tagged = Buffer.concat([Buffer.from(tag, 'hex'), base]);
      assert.equal(await codeOf(() => parse(tagged)), 'ATTESTATION_STRUCTURE');
    }
  });

  it('refuses an unprotected header with something in it', async () => {
    const { protectedHeader, signature } = parseDocument(base);
    const unprotected = new Map([[1, -35]]);
    const document = encode([protectedHeader, unprotected, payload, signature]);
    assert.equal(await codeOf(() => parse(document)), 'ATTESTATION_STRUCTURE');
  });

  it('refuses a protected header with more than the algorithm, or with the algorithm in the other header', async () => {
    const { signature } = parseDocument(base);
    for (const [header, unprotected, code] of [
      ['a20138220201', 'a0', 'ATTESTATION_ALGORITHM'],
      ['a0', 'a0', 'ATTESTATION_ALGORITHM'],
      ['', 'a1013822', 'ATTESTATION_STRUCTURE'],
      ['a1013826', 'a0', 'ATTESTATION_ALGORITHM'],
      ['a10165455333383421', 'a0', 'ATTESTATION_CBOR'],
    ] as [string, string, AttestationErrorCode][]) {
      const document = encode([
        Buffer.from(header, 'hex'),
        { raw: Buffer.from(unprotected, 'hex') },
        payload,
        signature,
      ]);
      assert.equal(await codeOf(() => parse(document)), code, header);
    }
  });

  const register = new Uint8Array(48);
  const fields: [string, Record<string, Cbor | undefined>][] = [
    ['no module_id', { module_id: undefined }],
    ['a module_id of bytes', { module_id: new Uint8Array(3) }],
    ['another digest', { digest: 'SHA256' }],
    ['a timestamp of 0', { timestamp: 0 }],
    ['a negative timestamp', { timestamp: -1 }],
    ['a timestamp as text', { timestamp: '2026-01-01' }],
    ['a timestamp that no date can have', { timestamp: { raw: Buffer.from('1bffffffffffffffff', 'hex') } }],
    ['33 registers', { pcrs: new Map(Array.from({ length: 33 }, (_, index) => [index, register])) }],
    ['a register 32', { pcrs: new Map([[32, register]]) }],
    ['a register -1', { pcrs: new Map([[-1, register]]) }],
    ['a register by name', { pcrs: new Map([['0', register]]) }],
    ['a register of text', { pcrs: new Map([[0, 'x'.repeat(48)]]) }],
    ['a register of 49 bytes', { pcrs: new Map([[0, new Uint8Array(49)]]) }],
    ['registers as a list', { pcrs: [register] }],
    ['no certificate', { certificate: undefined }],
    ['an empty certificate', { certificate: new Uint8Array() }],
    ['a certificate of 1,025 bytes', { certificate: new Uint8Array(1025) }],
    ['a cabundle of null', { cabundle: null }],
    ['a cabundle with an empty certificate', { cabundle: [new Uint8Array()] }],
    ['a cabundle with text', { cabundle: ['root'] }],
    ['a nonce of 1,025 bytes', { nonce: new Uint8Array(1025) }],
    ['a nonce as text', { nonce: 'nonce' }],
  ];
  for (const [name, changes] of fields) {
    it(`refuses ${name}`, async () => {
      assert.equal(await codeOf(() => parse(makeDocument(chain, changes))), 'ATTESTATION_FIELD');
    });
  }

  it('takes options that are left out, and empty ones but for the key', async () => {
    const without = await parse(makeDocument(chain, { public_key: undefined, user_data: undefined, nonce: undefined }));
    assert.deepEqual([without.publicKey, without.userData, without.nonce], [undefined, undefined, undefined]);
    const empty = await parse(makeDocument(chain, { user_data: new Uint8Array(), nonce: new Uint8Array() }));
    assert.deepEqual([empty.userData, empty.nonce], [new Uint8Array(), new Uint8Array()]);
  });

  it('gives bytes that do not change with the input', () => {
    const input = Uint8Array.from(base);
    const document = parseDocument(input);
    input.fill(0);
    assert.deepEqual(document, parseDocument(base));
  });

  it('refuses what is no Uint8Array', async () => {
    for (const other of [base.buffer, Buffer.from(base).toString('base64'), [...base], 1e9, undefined]) {
      assert.equal(await codeOf(() => parseDocument(other as never)), 'ATTESTATION_OPTION');
    }
  });

  it('takes a Buffer and a view of a larger one', async () => {
    const large = Buffer.concat([Buffer.alloc(7), base, Buffer.alloc(7)]);
    const view = large.subarray(7, 7 + base.length);
    assert.deepEqual(await verifyDocument(view, { roots: [root], at }), parseDocument(base));
  });
});

describe('hostile documents', () => {
  /** Fails the property unless the error is ours. */
  const refused = async (bytes: Uint8Array): Promise<void> => {
    await codeOf(() => verifyDocument(bytes, { at: genuineAt, expect: { allowDebug: true } }));
  };

  it('one flipped bit anywhere is found', async () => {
    const bits = fc.nat(genuine.length * 8 - 1);
    await fc.assert(
      fc.asyncProperty(bits, async (bit) => {
        const flipped = Uint8Array.from(genuine);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await refused(flipped);
      }),
      { numRuns: 400 },
    );
  });

  it('mutations never verify, and never fail in another way', async () => {
    const position = fc.nat(genuine.length - 1);
    const mutation = fc.oneof(
      fc.record({
        kind: fc.constant('set' as const),
        at: position,
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
      }),
      fc.record({
        kind: fc.constant('insert' as const),
        at: position,
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
      }),
      fc.record({ kind: fc.constant('cut' as const), at: position, length: fc.integer({ min: 1, max: 600 }) }),
      fc.record({
        kind: fc.constant('copy' as const),
        at: position,
        from: position,
        length: fc.integer({ min: 1, max: 600 }),
      }),
    );
    const mutate = (bytes: Buffer, each: typeof mutation extends fc.Arbitrary<infer T> ? T : never): Buffer => {
      const [before, after] = [bytes.subarray(0, each.at), bytes.subarray(each.at)];
      if (each.kind === 'set') return Buffer.concat([before, each.bytes, after.subarray(each.bytes.length)]);
      if (each.kind === 'insert') return Buffer.concat([before, each.bytes, after]);
      if (each.kind === 'cut') return Buffer.concat([before, after.subarray(each.length)]);
      return Buffer.concat([before, bytes.subarray(each.from, each.from + each.length), after]);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const mutated = mutations.reduce(mutate, Buffer.from(genuine));
        // A tag before a document is allowed
        fc.pre(!mutated.equals(genuine) && (mutated[0] ?? 0) >> 5 !== 6);
        await refused(mutated);
      }),
      { numRuns: 2000 },
    );
  });

  it('random bytes are refused', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), refused), { numRuns: 5000 });
  });

  const cborOf = (leaf: fc.Arbitrary<Cbor>, key: fc.Arbitrary<string | number>) =>
    fc.letrec<{ item: Cbor }>((tie) => ({
      item: fc.oneof(
        { maxDepth: 4 },
        fc.integer({ min: -1000, max: 2 ** 40 }),
        fc.constant(null),
        fc.uint8Array({ maxLength: 50 }),
        leaf,
        fc.array(tie('item'), { maxLength: 5 }),
        fc.array(fc.tuple(key, tie('item')), { maxLength: 5 }).map((entries) => new Map(entries)),
      ),
    })).item;

  it('random payloads are refused or read', async () => {
    const { protectedHeader, signature } = parseDocument(base);
    const names = ['module_id', 'digest', 'SHA384', 'timestamp', 'pcrs', 'certificate', 'cabundle', 'nonce'];
    const raw = fc.uint8Array({ maxLength: 6 }).map((bytes) => ({ raw: bytes }));
    const cbor = cborOf(fc.oneof(fc.constantFrom(...names), raw), fc.constantFrom<string | number>(...names, 0, 1));
    await fc.assert(
      fc.asyncProperty(cbor, async (item) => {
        await refused(encode([protectedHeader, new Map(), encode(item), signature]));
      }),
      { numRuns: 5000 },
    );
  });

  it('well-formed values of any kind are read over in a field that is not known', async () => {
    const { protectedHeader, signature } = parseDocument(base);
    const cbor = cborOf(fc.string({ unit: 'binary' }), fc.oneof(fc.string(), fc.integer({ min: -9, max: 2 ** 40 })));
    await fc.assert(
      fc.property(cbor, (item) => {
        fc.pre(encode(item).length < MAX_DOCUMENT_BYTES / 2);
        const fields = Buffer.concat([Buffer.of(0xaa), payload.subarray(1), encode('later'), encode(item)]);
        const { moduleId } = parseDocument(encode([protectedHeader, new Map(), fields, signature]));
        assert.equal(moduleId, parseDocument(base).moduleId);
      }),
      { numRuns: 2000 },
    );
  });
});
