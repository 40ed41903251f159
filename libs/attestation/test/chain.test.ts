import assert from 'node:assert/strict';
import { KeyUsageFlags, Version } from '@peculiar/asn1-x509';
import { type AttestationErrorCode, awsNitroRoot, verifyDocument } from '../src/index.ts';
import {
  at,
  type Changes,
  derSignature,
  ECDSA_SHA512,
  makeChain,
  makeDocument,
  makeKeys,
  pathLengthExtension,
  unknownExtension,
} from './forge.ts';
import { codeOf, failureOf } from './support.ts';

/** Verifies a document with that chain; its first certificate is trusted. */
async function verifyChain(chain: Uint8Array[]): Promise<void> {
  const [root = new Uint8Array()] = chain;
  await verifyDocument(await makeDocument(chain), { roots: [root], at });
}

const { keyCertSign, digitalSignature, cRLSign } = KeyUsageFlags;
const otherKeys = await makeKeys();
const shortKeys = await makeKeys('P-256');

const faults: [string, Changes, AttestationErrorCode][] = [
  ['an authority without CA', { zone: { ca: false } }, 'ATTESTATION_AUTHORITY'],
  ['a root without CA', { root: { ca: false } }, 'ATTESTATION_AUTHORITY'],
  ['an authority without keyCertSign', { region: { usage: digitalSignature | cRLSign } }, 'ATTESTATION_AUTHORITY'],
  ['a path length that is too short', { region: { pathLength: 1 } }, 'ATTESTATION_AUTHORITY'],
  ['a path length of the root that is too short', { root: { pathLength: 2 } }, 'ATTESTATION_AUTHORITY'],
  ['a leaf that is a CA', { leaf: { ca: true } }, 'ATTESTATION_LEAF'],
  ['a leaf with keyCertSign', { leaf: { usage: digitalSignature | keyCertSign } }, 'ATTESTATION_LEAF'],
  ['a leaf without digitalSignature', { leaf: { usage: KeyUsageFlags.keyAgreement } }, 'ATTESTATION_LEAF'],
  ['another issuer by name', { zone: { issuer: 'elsewhere' } }, 'ATTESTATION_ISSUER'],
  ['an issuer that differs in case', { zone: { issuer: 'Region' } }, 'ATTESTATION_ISSUER'],
  ['a link signed by another key', { zone: { issuerKeys: otherKeys } }, 'ATTESTATION_CERTIFICATE_SIGNATURE'],
  ['a leaf signed by another key', { leaf: { issuerKeys: otherKeys } }, 'ATTESTATION_CERTIFICATE_SIGNATURE'],
  [
    'a signature of zeros',
    { leaf: { signature: () => derSignature(new Uint8Array(96).fill(0, 0, 96)) } },
    'ATTESTATION_CERTIFICATE_SIGNATURE',
  ],
  [
    'a signature with bytes behind it',
    { leaf: { signature: (der) => Buffer.concat([der, Buffer.of(0)]) } },
    'ATTESTATION_CERTIFICATE_SIGNATURE',
  ],
  ['no signature', { leaf: { signature: () => new Uint8Array() } }, 'ATTESTATION_CERTIFICATE_SIGNATURE'],
  ['a key on P-256', { leaf: { keys: shortKeys } }, 'ATTESTATION_CERTIFICATE'],
  ['another algorithm outside', { zone: { outerAlgorithm: ECDSA_SHA512 } }, 'ATTESTATION_CERTIFICATE'],
  ['another algorithm inside', { zone: { innerAlgorithm: ECDSA_SHA512 } }, 'ATTESTATION_CERTIFICATE'],
  [
    'another algorithm in both places',
    { zone: { innerAlgorithm: ECDSA_SHA512, outerAlgorithm: ECDSA_SHA512 } },
    'ATTESTATION_CERTIFICATE',
  ],
  ['an unknown critical extension', { zone: { more: [unknownExtension(true)] } }, 'ATTESTATION_CERTIFICATE'],
  ['an extension twice', { leaf: { more: [pathLengthExtension(true)] } }, 'ATTESTATION_CERTIFICATE'],
  ['X.509 version 1', { zone: { version: Version.v1 } }, 'ATTESTATION_CERTIFICATE'],
  [
    'bytes behind a certificate',
    { zone: { whole: (der) => Buffer.concat([der, Buffer.of(0)]) } },
    'ATTESTATION_CERTIFICATE',
  ],
  ['an authority that is not yet valid', { zone: { from: '2026-01-01T12:00:01Z' } }, 'ATTESTATION_NOT_YET_VALID'],
  ['an authority that is not valid any more', { zone: { until: '2026-01-01T11:59:59Z' } }, 'ATTESTATION_EXPIRED'],
  ['a root that is not valid any more', { root: { until: '2026-01-01T11:59:59Z' } }, 'ATTESTATION_EXPIRED'],
];

describe('chain of an attestation document', () => {
  it('is taken as Nitro makes it', async () => {
    await verifyChain(await makeChain());
  });

  it('may have an extension that is unknown and not critical', async () => {
    await verifyChain(await makeChain({ zone: { more: [unknownExtension(false)] } }));
  });

  it('may be valid until after 2049, when dates have another form', async () => {
    await verifyChain(await makeChain({ root: { until: '2055-01-01T00:00:00Z' } }));
  });

  for (const [name, changes, code] of faults) {
    it(`with ${name}: ${code}`, async () => {
      const chain = await makeChain(changes);
      assert.equal(await codeOf(() => verifyChain(chain)), code);
    });
  }

  it('is refused with certificates in another order', async () => {
    const [root, region, zone, instance, leaf] = (await makeChain()) as [Uint8Array, ...Uint8Array[]];
    const shuffled = [root, zone, region, instance, leaf] as Uint8Array[];
    assert.equal(await codeOf(() => verifyChain(shuffled)), 'ATTESTATION_AUTHORITY');
  });

  it('is refused with more certificates than a chain has', async () => {
    const [root = new Uint8Array(), ...others] = await makeChain();
    const document = await makeDocument([...Array.from({ length: 6 }, () => root), ...others]);
    assert.equal(await codeOf(() => verifyDocument(document, { roots: [root], at })), 'ATTESTATION_FIELD');
  });

  it('trusts one of several roots, and no root for being in the document', async () => {
    const chain = await makeChain();
    const [root = new Uint8Array()] = chain;
    const document = await makeDocument(chain);
    await verifyDocument(document, { roots: [awsNitroRoot, root], at });
    assert.equal(await codeOf(() => verifyDocument(document, { at })), 'ATTESTATION_ROOT');
  });

  it('does not take another certificate with the name and key of a root', async () => {
    const chain = await makeChain();
    const [again = new Uint8Array()] = await makeChain();
    assert.equal(
      await codeOf(async () => verifyDocument(await makeDocument(chain), { roots: [again], at })),
      'ATTESTATION_ROOT',
    );
  });

  it('names the certificate that is at fault', async () => {
    const chain = await makeChain({ zone: { until: '2026-01-01T11:59:59Z' } });
    assert.match(
      (await failureOf(() => verifyChain(chain))).message,
      /^cabundle\[2\] was valid until 2026-01-01T11:59:59/,
    );
  });

  it('does not take a key that is no point on the curve', async () => {
    const keys = await makeKeys();
    const spki = new Uint8Array(keys.spki.slice(0));
    spki.set([(spki.at(-1) ?? 0) ^ 1], spki.length - 1);
    const chain = await makeChain({ leaf: { keys: { ...keys, spki: spki.buffer } } });
    assert.equal(await codeOf(() => verifyChain(chain)), 'ATTESTATION_CERTIFICATE');
  });
});
