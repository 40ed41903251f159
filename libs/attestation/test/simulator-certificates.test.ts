import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate } from '@peculiar/asn1-x509';
import { type CborValue, decodeCbor } from '../src/cbor.ts';
import { parseDocument } from '../src/index.ts';
import { authorityConstraints, issueCertificate } from '../src/simulator/certificate.ts';
import { DevelopmentRoot, SimulatorError } from '../src/simulator/index.ts';
import { clockAt, hex, ROOT, realDocument, simulatorOf } from './simulator-support.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
/** Extensions whose values are the same in every document; the others hold keys and addresses. */
const FIXED = ['2.5.29.19', '2.5.29.15'];

const real = parseDocument(await realDocument('dstack-2025-12-prod'));
const chainOf = ({ cabundle, certificate }: { cabundle: Uint8Array[]; certificate: Uint8Array }): Uint8Array[] => [
  ...cabundle,
  certificate,
];
const mapKeys = (payload: Uint8Array): unknown[] => [...(decodeCbor(payload) as Map<string, CborValue>).keys()];

function extensionsOf(certificate: Uint8Array): unknown[] {
  const { extensions = [] } = AsnConvert.parse(certificate, Certificate).tbsCertificate;
  return [...extensions].map(({ extnID, critical, extnValue }) => ({
    extnID,
    critical,
    value: FIXED.includes(extnID) ? hex(new Uint8Array(extnValue.buffer)) : 'its own',
  }));
}

describe('NSM simulator: form of documents and certificates', () => {
  it('writes documents as the newest of AWS are', async () => {
    const document = await simulatorOf().nsm.attest();
    const { payload, protectedHeader } = parseDocument(document);
    assert.equal(hex(document.subarray(0, 8)), '8444a1013822a059');
    assert.equal(hex(protectedHeader), hex(real.protectedHeader));
    assert.deepEqual([payload[0], payload.at(-1)], [real.payload[0], real.payload.at(-1)]);
    assert.deepEqual(mapKeys(payload), mapKeys(real.payload));
    const nulls = [...(decodeCbor(payload) as Map<string, CborValue>)].filter(([, value]) => value === null);
    assert.deepEqual(
      nulls.map(([key]) => key),
      ['public_key', 'user_data', 'nonce'],
    );
  });

  it('gives certificates the extensions that those of AWS have, level by level', async () => {
    const simulated = chainOf(parseDocument(await simulatorOf().nsm.attest()));
    assert.deepEqual(simulated.map(extensionsOf), chainOf(real).map(extensionsOf));
    for (const certificate of simulated) {
      assert.ok(certificate.length <= 1024);
      // Positive, and of the length that AWS gives them.
      assert.match(new X509Certificate(certificate).serialNumber, /^[4-7][0-9A-F]{31}$/);
    }
  });

  it('makes a chain that Node and OpenSSL take, and signs with its leaf', async () => {
    const { cabundle, certificate, protectedHeader, payload, signature } = parseDocument(
      await simulatorOf({ instanceId: 'i-0123456789abcdef0', region: 'ap-southeast-2' }).nsm.attest(),
    );
    const chain = [...cabundle, certificate].map((der) => new X509Certificate(der));
    for (const [level, each] of chain.entries()) {
      const issuer = chain[Math.max(0, level - 1)];
      assert.ok(issuer);
      assert.ok(each.checkIssued(issuer) && each.verify(issuer.publicKey), `level ${level}`);
      assert.equal(each.ca, level < 4);
      assert.equal(each.publicKey.asymmetricKeyDetails?.namedCurve, 'secp384r1');
    }
    const leaf = chain[4];
    assert.ok(leaf);
    assert.match(leaf.subject, /CN=i-0123456789abcdef0-enc[0-9a-f]{16}\.ap-southeast-2\.aws$/);
    const head = (major: number, length: number) => Buffer.of((major << 5) | 25, length >> 8, length & 0xff);
    const signed = Buffer.concat([
      Buffer.from('846a5369676e617475726531', 'hex'),
      Buffer.of(0x44),
      protectedHeader,
      Buffer.of(0x40),
      head(2, payload.length),
      payload,
    ]);
    assert.ok(verify('sha384', signed, { key: leaf.publicKey, dsaEncoding: 'ieee-p1363' }, signature));
  });

  it('says in every certificate that it is not of AWS', async () => {
    for (const der of chainOf(parseDocument(await simulatorOf().nsm.attest()))) {
      const { subject, issuer } = new X509Certificate(der);
      for (const text of [subject, issuer]) assert.match(text, /DEVELOPMENT.*not AWS/s);
    }
  });

  it('lets a leaf live 3 h and 3 s, and serve for the half of it', async () => {
    const { now, forward } = clockAt('2026-05-01T10:00:00Z');
    const { nsm } = simulatorOf({ now });
    const first = parseDocument(await nsm.attest());
    const leaf = new X509Certificate(first.certificate);
    assert.equal(leaf.validFromDate.getTime(), now().getTime() - 3 * SECOND_MS);
    assert.equal(leaf.validToDate.getTime(), now().getTime() + 3 * HOUR_MS);
    forward(1.5 * HOUR_MS - 1);
    assert.equal(hex(parseDocument(await nsm.attest()).certificate), hex(first.certificate));
    forward(1);
    assert.notEqual(hex(parseDocument(await nsm.attest()).certificate), hex(first.certificate));
    // A clock that is put back to before a leaf must not leave documents that nobody can verify.
    forward(-24 * HOUR_MS);
    const back = new X509Certificate(parseDocument(await nsm.attest()).certificate);
    assert.ok(back.validFromDate <= now() && now() <= back.validToDate);
  });
});

describe('DevelopmentRoot', () => {
  const refused = (pem: string, text: RegExp): void => {
    assert.throws(
      () => DevelopmentRoot.load(pem),
      (error) =>
        error instanceof SimulatorError && error.code === 'DEVELOPMENT_ROOT_INVALID' && text.test(error.message),
    );
  };
  const keyOf = (namedCurve: string): string =>
    generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const certificate = new X509Certificate(ROOT.certificate).toString();

  it('is the same after save and load', async () => {
    const loaded = DevelopmentRoot.load(ROOT.save());
    assert.equal(hex(loaded.certificate), hex(ROOT.certificate));
    assert.equal(loaded.save(), ROOT.save());
    const { cabundle } = parseDocument(await simulatorOf({ root: loaded }).nsm.attest());
    assert.ok(new X509Certificate(cabundle[1] ?? Buffer.of()).verify(new X509Certificate(ROOT.certificate).publicKey));
  });

  it('says what it is', () => {
    assert.match(new X509Certificate(ROOT.certificate).subject, /CN=Enclaver DEVELOPMENT root\\?, not AWS$/);
  });

  /** A key and a certificate with the name of a development root, signed by the key or by another. */
  const namesake = (namedCurve: string, signer?: KeyObject): string => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    const { subject } = AsnConvert.parse(ROOT.certificate, Certificate).tbsCertificate;
    const der = issueCertificate(
      { subject, publicKey, notBefore: new Date(0), notAfter: new Date(), extensions: [authorityConstraints()] },
      { name: subject, privateKey: signer ?? privateKey },
    );
    return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() + new X509Certificate(der).toString();
  };

  it('is nobody else', () => {
    refused('', /PEM/);
    refused('x'.repeat(9000), /9000 characters/);
    refused(certificate, /PEM/);
    refused(keyOf('secp384r1') + certificate, /key is not the one/);
    refused(namesake('secp384r1', createPrivateKey(keyOf('secp384r1'))), /signed by itself/);
    refused(namesake('prime256v1'), /P-384/);
    DevelopmentRoot.load(namesake('secp384r1'));
    refused(keyOf('secp384r1') + new X509Certificate(real.cabundle[0] ?? Buffer.of()).toString(), /subject/);
  });
});
