import assert from 'node:assert/strict';
import { type AttestationErrorCode, MAX_DOCUMENT_BYTES, parseDocument, verifyDocument } from '../src/index.ts';
import { at, type Cbor, encode, makeChain, makeDocument, seal } from './forge.ts';
import { codeOf } from './support.ts';

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
