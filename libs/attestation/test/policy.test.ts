import assert from 'node:assert/strict';
import { AttestationError, type DocumentExpectation, parseDocument, verifyDocument } from '../src/index.ts';
import { at, makeChain, makeDocument } from './forge.ts';
import { codeOf, codes, documentBytes, failureOf, genuine, genuineAt } from './support.ts';

const chain = await makeChain();
const [root = new Uint8Array()] = chain;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const full = await makeDocument(chain, { nonce: bytes('nonce'), user_data: bytes('data'), public_key: bytes('key') });
const bare = await makeDocument(chain);
const timestamp = parseDocument(full).timestamp;

const verify = (document: Uint8Array, expect: DocumentExpectation, instant = at) =>
  verifyDocument(document, { roots: [root], at: instant, expect });

describe('what a verifier expects of a document', () => {
  it('is met', async () => {
    const { pcrs } = parseDocument(full);
    await verify(full, {
      pcrs,
      nonce: bytes('nonce'),
      userData: bytes('data'),
      publicKey: bytes('key'),
      maxAgeMs: 60_000,
    });
  });

  for (const [name, code] of [
    ['nonce', 'ATTESTATION_NONCE'],
    ['userData', 'ATTESTATION_USER_DATA'],
    ['publicKey', 'ATTESTATION_PUBLIC_KEY'],
  ] as const) {
    it(`${name}: another one, a part of it and none are refused`, async () => {
      for (const other of ['other', 'nonc', 'dat', 'ke', 'nonce2', '']) {
        assert.equal(await codeOf(() => verify(full, { [name]: bytes(other) })), code);
      }
      assert.equal(await codeOf(() => verify(bare, { [name]: bytes('') })), code, 'missing is not empty');
    });
  }

  it('registers: another value, a shorter one and a register that is not there are refused', async () => {
    const { pcrs } = parseDocument(full);
    const value = pcrs.get(8) ?? new Uint8Array();
    const flipped = value.map((byte, index) => (index === 47 ? byte ^ 1 : byte));
    for (const [index, expected] of [
      [8, flipped],
      [8, value.subarray(0, 47)],
      [16, new Uint8Array(48)],
    ] as const) {
      const failure = await failureOf(() => verify(full, { pcrs: new Map([[index, expected]]) }));
      assert.equal(failure.code, 'ATTESTATION_PCR');
      assert.match(failure.message, new RegExp(`^PCR${index} is `));
    }
  });

  it('is told in full where it is not met', async () => {
    const { pcrs } = parseDocument(genuine);
    const other = new Map([...pcrs].map(([index]) => [index, new Uint8Array(48).fill(9)] as const).slice(0, 3));
    const failure = await failureOf(() =>
      verifyDocument(genuine, {
        at: genuineAt,
        expect: { pcrs: other, nonce: bytes('n'), userData: bytes('u'), maxAgeMs: 1000 },
      }),
    );
    assert.deepEqual(codes(failure.failures), [
      'ATTESTATION_PCR',
      'ATTESTATION_PCR',
      'ATTESTATION_PCR',
      'ATTESTATION_NONCE',
      'ATTESTATION_USER_DATA',
      'ATTESTATION_TOO_OLD',
    ]);
    assert.equal(failure.code, 'ATTESTATION_PCR');
    for (const { message } of failure.failures) assert.ok(failure.message.includes(message));
  });

  it('is not asked of a document that is not genuine', async () => {
    const forged = Uint8Array.from(full);
    forged.set([(forged.at(-1) ?? 0) ^ 1], forged.length - 1);
    const failure = await failureOf(() => verify(forged, { nonce: bytes('other') }));
    assert.deepEqual(codes(failure.failures), ['ATTESTATION_SIGNATURE']);
  });

  it('age: to the millisecond, and not later than a clock may lag', async () => {
    const aged = (age: number) => verify(full, { maxAgeMs: 1000 }, new Date(timestamp + age));
    await aged(1000);
    await aged(0);
    await aged(-3000);
    assert.equal(await codeOf(() => aged(1001)), 'ATTESTATION_TOO_OLD');
    assert.equal(await codeOf(() => aged(-3001)), 'ATTESTATION_FUTURE');
    await verify(full, {}, new Date(timestamp - 60_000));
  });

  it('debug mode: PCR0 of zeros, or no PCR0, is refused unless allowed', async () => {
    for (const pcrs of [new Map([[0, new Uint8Array(48)]]), new Map([[1, new Uint8Array(48).fill(1)]])]) {
      const document = await makeDocument(chain, { pcrs });
      assert.equal(await codeOf(() => verify(document, {})), 'ATTESTATION_DEBUG');
      assert.equal(await codeOf(() => verify(document, { allowDebug: false })), 'ATTESTATION_DEBUG');
      await verify(document, { allowDebug: true });
    }
  });

  it('a policy on PCR0 never takes a debug document, even where that is allowed', async () => {
    const debug = documentBytes('dstack-2025-12-debug.b64');
    const pcrs = new Map([[0, parseDocument(genuine).pcrs.get(0) ?? new Uint8Array()]]);
    const instant = new Date(parseDocument(debug).timestamp);
    assert.equal(
      await codeOf(() => verifyDocument(debug, { at: instant, expect: { pcrs, allowDebug: true } })),
      'ATTESTATION_PCR',
    );
  });
});

describe('options of a verification', () => {
  const wrong: [string, Record<string, unknown>][] = [
    ['a nonce that is undefined', { nonce: undefined }],
    ['a nonce of hexadecimal digits', { nonce: '00ff' }],
    ['a name that does not exist', { user_data: bytes('data') }],
    ['a name of every object', { constructor: bytes('data') }],
    ['no register', { pcrs: new Map() }],
    ['registers that are no map', { pcrs: { 0: new Uint8Array(48) } }],
    ['a register that does not exist', { pcrs: new Map([[32, new Uint8Array(48)]]) }],
    ['a register of hexadecimal digits', { pcrs: new Map([[0, '00'.repeat(48)]]) }],
    ['an age that is no number', { maxAgeMs: Number.NaN }],
    ['a negative age', { maxAgeMs: -1 }],
    ['an allowance that is no boolean', { allowDebug: 'false' }],
  ];
  for (const [name, expect] of wrong) {
    it(`refuse ${name}`, async () => {
      assert.equal(await codeOf(() => verify(full, expect as DocumentExpectation)), 'ATTESTATION_OPTION');
    });
  }

  it('refuse an instant that is none, and no roots', async () => {
    assert.equal(await codeOf(() => verify(full, {}, new Date(Number.NaN))), 'ATTESTATION_OPTION');
    assert.equal(await codeOf(() => verifyDocument(full, { roots: [], at })), 'ATTESTATION_OPTION');
  });

  it('refuse an expectation in the wrong place', async () => {
    const options = { roots: [root], at, nonce: bytes('nonce') };
    assert.equal(await codeOf(() => verifyDocument(full, options)), 'ATTESTATION_OPTION');
  });

  it('errors have a remedy', async () => {
    const failure = await failureOf(() => verify(full, { nonce: bytes('other') }));
    assert.ok(failure instanceof AttestationError && failure.remedy.includes('nonce'));
  });
});
