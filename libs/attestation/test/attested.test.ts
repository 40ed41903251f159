import assert from 'node:assert/strict';
import { KeyUsageFlags, Version } from '@peculiar/asn1-x509';
import * as fc from 'fast-check';
import { ATTESTED_TLS_PURPOSE, CMW_EXTENSION, wrapDocument } from '../src/attested/extension.ts';
import { type VerifyCertificateOptions, verifyAttestedCertificate } from '../src/index.ts';
import {
  at,
  bytesExtension,
  type Cbor,
  type CertificateFields,
  encode,
  type Keys,
  makeCertificate,
  makeChain,
  makeDocument,
  makeKeys,
} from './forge.ts';
import { codes, failureOf } from './support.ts';

const ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const pcrs = new Map([[0, new Uint8Array(48).fill(1)]]);

describe('verifyAttestedCertificate', () => {
  let chain: Uint8Array[];
  let keys: Keys;

  before(async () => {
    chain = await makeChain();
    keys = await makeKeys('P-256');
  });

  const document = (changes: Record<string, Cbor | undefined> = {}): Promise<Uint8Array> =>
    makeDocument(chain, {
      public_key: new Uint8Array(keys.spki),
      user_data: new TextEncoder().encode(ATTESTED_TLS_PURPOSE),
      ...changes,
    });

  async function certificate(changes: Partial<CertificateFields> = {}, wrapped?: Uint8Array): Promise<Uint8Array> {
    return makeCertificate({
      subject: 'enclave.example',
      issuer: 'enclave.example',
      keys,
      issuerKeys: keys,
      ca: false,
      usage: KeyUsageFlags.digitalSignature,
      from: '2026-01-01T11:00:00Z',
      until: '2026-01-01T14:00:00Z',
      version: Version.v3,
      innerAlgorithm: ECDSA_SHA256,
      outerAlgorithm: ECDSA_SHA256,
      hash: 'SHA-256',
      more: [bytesExtension(CMW_EXTENSION, wrapped ?? wrapDocument(await document()))],
      signature: (der) => der,
      whole: (der) => der,
      ...changes,
    });
  }

  const options = (changes: Partial<VerifyCertificateOptions> = {}): VerifyCertificateOptions => ({
    at,
    roots: chain.slice(0, 1),
    expect: { pcrs },
    ...changes,
  });

  const failures = async (der: Uint8Array | Promise<Uint8Array>, changes = {}): Promise<string[]> => {
    const given = await der;
    return codes((await failureOf(() => verifyAttestedCertificate(given, options(changes)))).failures);
  };

  it('gives the document of a certificate whose key it attests', async () => {
    const { document: found, publicKey } = await verifyAttestedCertificate(await certificate(), options());
    assert.deepEqual(publicKey, new Uint8Array(keys.spki));
    assert.deepEqual(found.pcrs.get(0), pcrs.get(0));
  });

  it('refuses a genuine document that attests another key, or this one for another purpose', async () => {
    const stolen = await makeKeys('P-256');
    const wrapped = wrapDocument(await document());
    assert.deepEqual(await failures(certificate({ keys: stolen, issuerKeys: stolen }, wrapped)), [
      'ATTESTATION_PUBLIC_KEY',
    ]);
    for (const user_data of [null, new TextEncoder().encode(`${ATTESTED_TLS_PURPOSE}0`)]) {
      const other = wrapDocument(await document({ user_data }));
      assert.deepEqual(await failures(certificate({}, other)), ['ATTESTATION_USER_DATA']);
    }
  });

  it('refuses one that its key did not sign, and one that was changed', async () => {
    const other = await makeKeys('P-256');
    assert.deepEqual(await failures(certificate({ issuerKeys: other })), ['ATTESTATION_TLS_CERTIFICATE']);
    const changed = await certificate();
    const at = Buffer.from(changed).indexOf('enclave.example');
    changed.set(Buffer.from('e'), at + 1);
    assert.deepEqual(await failures(Promise.resolve(changed)), ['ATTESTATION_TLS_CERTIFICATE']);
  });

  it('refuses certificates of another form', async () => {
    const p384 = await makeKeys();
    const ofP384 = { keys: p384, issuerKeys: p384, hash: 'SHA-384' };
    for (const der of [
      certificate(ofP384),
      certificate({ innerAlgorithm: '1.2.840.10045.4.3.3' }),
      certificate({ version: Version.v1 }),
      certificate({ whole: (whole) => Buffer.concat([whole, Buffer.of(0)]) }),
      Promise.resolve(new Uint8Array(60_000)),
      Promise.resolve(new Uint8Array()),
    ]) {
      assert.deepEqual(await failures(der), ['ATTESTATION_TLS_CERTIFICATE']);
    }
  });

  it('refuses one without a document', async () => {
    assert.deepEqual(await failures(certificate({ more: [] })), ['ATTESTATION_TLS_DOCUMENT']);
    const inner = await document();
    for (const wrapped of [
      new Uint8Array(),
      Buffer.from('no CBOR'),
      encode([17, inner]),
      encode(['application/cose', inner]),
      encode([18, 'text']),
      encode(new Map([[0, inner]])),
      inner,
    ]) {
      assert.deepEqual(await failures(certificate({}, wrapped)), ['ATTESTATION_TLS_DOCUMENT']);
    }
    assert.deepEqual(await failures(certificate({}, encode([18, inner.subarray(1)]))), ['ATTESTATION_CBOR']);
  });

  it('takes a record without an indicator', async () => {
    await verifyAttestedCertificate(await certificate({}, encode([18, await document()])), options());
  });

  it('holds it against the root, the registers, the age and the clock', async () => {
    const genuine = await certificate();
    assert.deepEqual(await failures(genuine, { roots: [new Uint8Array(9)] }), ['ATTESTATION_ROOT']);
    assert.deepEqual(await failures(genuine, { expect: { pcrs: new Map([[0, new Uint8Array(48)]]) } }), [
      'ATTESTATION_PCR',
    ]);
    assert.deepEqual(await failures(genuine, { expect: { pcrs, maxAgeMs: 59_000 } }), ['ATTESTATION_TOO_OLD']);
    assert.deepEqual(await failures(certificate({ until: '2026-01-01T11:30:00Z' })), ['ATTESTATION_EXPIRED']);
    assert.deepEqual(await failures(certificate({ from: '2026-01-01T12:30:00Z' })), ['ATTESTATION_NOT_YET_VALID']);
  });

  it('refuses it with any byte changed, and fails with its own error alone', async () => {
    const genuine = await certificate();
    await fc.assert(
      fc.asyncProperty(fc.nat(genuine.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Uint8Array.from(genuine);
        changed[at] = (changed[at] ?? 0) ^ change;
        await failureOf(() => verifyAttestedCertificate(changed, options()));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses calls that would check less than was meant', async () => {
    const genuine = await certificate();
    const wrong = [{ expect: undefined }, { expect: {} }, { expect: { pcrs: new Map() } }];
    const more = [{ expect: { pcrs, nonce: new Uint8Array(8) } }, { expect: { pcrs, publicKey: new Uint8Array(8) } }];
    for (const changes of [...wrong, ...more])
      assert.deepEqual(await failures(genuine, changes), ['ATTESTATION_OPTION']);
  });
});
