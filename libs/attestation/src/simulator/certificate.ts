import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CRLDistributionPoints,
  DistributionPoint,
  DistributionPointName,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_cRLDistributionPoints,
  id_ce_keyUsage,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  Name,
  RelativeDistinguishedName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

/** ecdsa-with-SHA384 (RFC 5758, section 3.2): all certificates of Nitro Enclaves. */
const ECDSA_WITH_SHA384 = '1.2.840.10045.4.3.3';
/** A serial number may have 20 bytes (RFC 5280, section 4.1.2.2); AWS's have 16. */
const SERIAL_BYTES = 16;

const NAME_TYPES = { C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3' } as const;

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** Who signs a certificate: its name, its key, and the id of the key where the certificate has one. */
export interface Authority {
  name: Name;
  privateKey: KeyObject;
  keyId: Buffer;
}

export interface CertificateContent {
  subject: Name;
  publicKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
  extensions: readonly Extension[];
}

export function makeKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
}

export function name(parts: readonly (readonly [keyof typeof NAME_TYPES, string])[]): Name {
  return new Name(
    parts.map(([type, text]) => {
      // RFC 5280, appendix A: a country is a PrintableString
      const value = new AttributeValue(type === 'C' ? { printableString: text } : { utf8String: text });
      return new RelativeDistinguishedName([new AttributeTypeAndValue({ type: NAME_TYPES[type], value })]);
    }),
  );
}

/** SHA-1 of the public key's bits (RFC 5280, section 4.2.1.2): a name for the key, no protection of anything. */
export function keyIdOf(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(new Uint8Array(publicKeyInfo(publicKey).subjectPublicKey))
    .digest();
}

/** A certificate, DER, with its extensions in the order given. Fractions of seconds are cut off. */
export function issueCertificate(content: CertificateContent, issuer: Pick<Authority, 'name' | 'privateKey'>): Buffer {
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA384 });
  const serial = randomBytes(SERIAL_BYTES);
  // Positive, and without a leading zero byte.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const tbs = new TBSCertificate({
    version: Version.v3,
    serialNumber: toArrayBuffer(serial),
    signature: algorithm,
    issuer: issuer.name,
    validity: new Validity({ notBefore: content.notBefore, notAfter: content.notAfter }),
    subject: content.subject,
    subjectPublicKeyInfo: publicKeyInfo(content.publicKey),
    extensions: new Extensions([...content.extensions]),
  });
  const signature = sign('sha384', Buffer.from(AsnConvert.serialize(tbs)), issuer.privateKey);
  return Buffer.from(
    AsnConvert.serialize(
      new Certificate({ tbsCertificate: tbs, signatureAlgorithm: algorithm, signatureValue: toArrayBuffer(signature) }),
    ),
  );
}

export function authorityConstraints(pathLength?: number): Extension {
  const constraints = new BasicConstraints(
    pathLength === undefined ? { cA: true } : { cA: true, pathLenConstraint: pathLength },
  );
  return extension(id_ce_basicConstraints, true, constraints);
}

export function leafConstraints(): Extension {
  return extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: false }));
}

/** `flags` of KeyUsageFlags. */
export function keyUsage(flags: number, critical: boolean): Extension {
  return extension(id_ce_keyUsage, critical, new KeyUsage(flags));
}

export function subjectKey(keyId: Buffer): Extension {
  return extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(toArrayBuffer(keyId)));
}

export function issuerKey(keyId: Buffer): Extension {
  const identifier = new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(toArrayBuffer(keyId)) });
  return extension(id_ce_authorityKeyIdentifier, false, identifier);
}

export function revocationList(url: string): Extension {
  const distributionPoint = new DistributionPointName({
    fullName: [new GeneralName({ uniformResourceIdentifier: url })],
  });
  const points = new CRLDistributionPoints([new DistributionPoint({ distributionPoint })]);
  return extension(id_ce_cRLDistributionPoints, false, points);
}

function extension(extnID: string, critical: boolean, value: unknown): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function publicKeyInfo(publicKey: KeyObject): SubjectPublicKeyInfo {
  return AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo);
}

/** A copy: a Buffer may be a part of a pool. */
function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
