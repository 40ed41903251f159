import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { Encoder, Tag } from 'cbor-x';
import fc from 'fast-check';
import { certificatePcr, EifError, readEif, verifySignature, writeEif } from '../src/index.ts';
import { refusal, smallImage, tempFolder, type ValidVectors, vectors } from './support.ts';

interface Signer {
  certificate_pem: string;
  private_key_pkcs8_pem: string;
}

const { cases } = await vectors<ValidVectors>('eif-valid');
const signer = (name: string): Signer => cases.find((vector) => vector.name === name)?.signed ?? assert.fail(name);
const p256 = signer('signed-p256');
const p384 = signer('signed-p384');
const p521 = await vectors<Signer>('p521');

const encoder = new Encoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false });
const encode = (value: unknown): Buffer => Buffer.from(encoder.encode(value));
const PCR0 = await (async () => {
  await using folder = await tempFolder();
  return (await writeEif(folder.file('image'), smallImage())).measurements.PCR0;
})();

/** What goes into a signature section; each part can be another than it should be. */
interface Parts {
  key: string;
  certificate: string;
  hash: string;
  algorithm: number;
  header: Map<unknown, unknown>;
  payload: unknown;
  cose: (parts: unknown[]) => unknown;
  section: (entry: Map<string, unknown>) => unknown;
}

function section(by: Signer, hash: string, algorithm: number, changes: Partial<Parts> = {}): Buffer {
  const parts: Parts = {
    key: by.private_key_pkcs8_pem,
    certificate: by.certificate_pem,
    hash,
    algorithm,
    header: new Map([[1, algorithm]]),
    payload: new Map<string, unknown>([
      ['register_index', 0],
      ['register_value', [...Buffer.from(PCR0, 'hex')]],
    ]),
    cose: (array) => array,
    section: (entry) => [entry],
    ...changes,
  };
  const header = encode(parts.header);
  const payload = encode(parts.payload);
  const signed = encode(['Signature1', header, Buffer.alloc(0), payload]);
  const signature = sign(parts.hash, signed, { key: parts.key, dsaEncoding: 'ieee-p1363' });
  const cose = encode(parts.cose([header, new Map(), payload, signature]));
  const entry = new Map<string, unknown>([
    ['signing_certificate', [...Buffer.from(parts.certificate)]],
    ['signature', [...cose]],
  ]);
  return encode(parts.section(entry));
}

async function written(signature: Buffer) {
  await using folder = await tempFolder();
  await writeEif(folder.file('image'), smallImage({ sign: async () => signature }));
  return readEif(folder.file('image'));
}

describe('signatures', () => {
  for (const [name, by, hash, algorithm] of [
    ['ES256', p256, 'sha256', -7],
    ['ES384', p384, 'sha384', -35],
    ['ES512', p521, 'sha512', -36],
  ] as const) {
    it(`checks ${name} and measures the certificate`, async () => {
      const { signature, measurements } = await written(section(by, hash, algorithm));
      assert.equal(signature?.algorithm, name);
      assert.equal(signature?.certificate, by.certificate_pem);
      assert.equal(measurements.PCR8, certificatePcr(by.certificate_pem).toString('hex'));
    });
  }

  it('takes a COSE message with its tag, and more entries behind the first', async () => {
    const tagged = section(p384, 'sha384', -35, { cose: (array) => new Tag(array, 18) });
    assert.ok((await written(tagged)).signature);
    const more = section(p384, 'sha384', -35, { section: (entry) => [entry, 'anything'] });
    assert.ok((await written(more)).signature);
  });

  it('refuses what is not exactly a signature of this image by this certificate', async () => {
    const payload = (index: unknown, value: unknown): Map<string, unknown> =>
      new Map([
        ['register_index', index],
        ['register_value', value],
      ]);
    const pcr0 = [...Buffer.from(PCR0, 'hex')];
    const failing: [Partial<Parts>, RegExp][] = [
      [{ certificate: p256.certificate_pem }, /needs a key on secp384r1/],
      [{ key: p256.private_key_pkcs8_pem, certificate: p256.certificate_pem }, /needs a key on secp384r1/],
      [{ hash: 'sha256' }, /does not verify/],
      [{ header: new Map([[1, -8]]) }, /no algorithm that is allowed/],
      [{ header: new Map([['1', -35]]) }, /no algorithm that is allowed/],
      [
        {
          header: new Map([
            [1, -35],
            [2, 0],
          ]),
        },
        /no algorithm that is allowed/,
      ],
      [{ header: new Map() }, /no algorithm that is allowed/],
      [{ payload: payload(1, pcr0) }, /for PCR1/],
      [{ payload: payload(0, pcr0.slice(1)) }, /must hold the 48 bytes/],
      [{ payload: payload(0, [...pcr0.slice(1), 256]) }, /signed payload/],
      [{ payload: payload(0, Buffer.from(pcr0)) }, /signed payload/],
      [{ payload: payload(0, pcr0.toReversed()) }, /the signature is for PCR0/],
      [{ cose: (array) => new Tag(array, 17) }, /COSE_Sign1/],
      [{ cose: (array) => array.slice(0, 3) }, /COSE_Sign1/],
      [{ cose: (array) => [...array, 0] }, /COSE_Sign1/],
      [{ cose: ([a, b, c, d]) => [a, b, c, (d as Buffer).subarray(1)] }, /has 96 bytes, this one has 95/],
      [{ section: (entry) => entry }, /signature section/],
      [{ section: () => [] }, /signature section/],
      [{ section: (entry) => [new Map([...entry, ['other', 1]])] }, /signature section/],
      [{ certificate: 'no certificate' }, /PEM/],
      [{ certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }, /cannot be read/],
    ];
    for (const [changes, message] of failing) {
      await assert.rejects(written(section(p384, 'sha384', -35, changes)), refusal('EIF_SIGNATURE', message));
    }
    const trailing = Buffer.concat([section(p384, 'sha384', -35), Buffer.alloc(1)]);
    await assert.rejects(written(trailing), refusal('EIF_SIGNATURE', /not CBOR/));
    await assert.rejects(written(Buffer.alloc(32769, 0x80)), refusal('EIF_SIGNATURE', /32769 bytes/));
  });

  it('refuses hostile CBOR with its own error, at once', async () => {
    const hostile = [
      '9b001fffffffffffff',
      '9affffffff',
      'bbffffffffffffffff',
      '5b7fffffffffffffff',
      'c0'.repeat(200),
      '',
    ];
    for (const hex of hostile) await assert.rejects(written(Buffer.from(hex, 'hex')), refusal('EIF_SIGNATURE'));
    await assert.rejects(written(Buffer.alloc(32768, 0x81)), refusal('EIF_SIGNATURE'));
    const good = section(p384, 'sha384', -35);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, value) => {
        fc.pre(good[at] !== value);
        const bytes = Buffer.from(good);
        bytes[at] = value;
        // A change in the unused parts of the PEM text can be without effect; all else must be refused.
        await written(bytes).catch((error) => assert.ok(error instanceof EifError && error.code === 'EIF_SIGNATURE'));
      }),
      { numRuns: 150 },
    );
  });

  it('does not vouch for an unsigned image, nor outside the validity of the certificate', async () => {
    assert.throws(() => verifySignature({}, { at: new Date() }), refusal('EIF_SIGNATURE', /not signed/));
    const eif = await written(section(p521, 'sha512', -36));
    const { validFrom, validTo } = eif.signature ?? assert.fail();
    assert.equal(verifySignature(eif, { at: validFrom }), eif.signature);
    assert.equal(verifySignature(eif, { at: validTo }), eif.signature);
    for (const at of [new Date(validFrom.getTime() - 1000), new Date(validTo.getTime() + 1000), new Date(Number.NaN)]) {
      assert.throws(() => verifySignature(eif, { at }), EifError);
    }
  });
});
