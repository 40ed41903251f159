import { AsnConvert } from '@peculiar/asn1-schema';
import {
  type AlgorithmIdentifier,
  BasicConstraints,
  Certificate as CertificateSyntax,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  KeyUsage,
  KeyUsageFlags,
  type SubjectPublicKeyInfo,
  Version,
} from '@peculiar/asn1-x509';
import { equalBytes } from './bytes.ts';
import { AttestationError, type AttestationErrorCode } from './errors.ts';
import { es384, type Suite } from './suite.ts';

/** What the rules of a chain need of a certificate. */
export interface Certificate {
  /** The field of the document that it stands in, such as `cabundle[1]`. */
  place: string;
  suite: Suite;
  /** DER names. */
  issuer: Uint8Array;
  subject: Uint8Array;
  /** Milliseconds since 1970: the first and the last instant at which it is valid. */
  notBefore: number;
  notAfter: number;
  isAuthority: boolean;
  /** How many authorities may follow below this one. */
  pathLength?: number;
  signsCertificates: boolean;
  signsData: boolean;
  /** Value (DER) by object identifier. */
  extensions: ReadonlyMap<string, ArrayBuffer>;
  /** DER: SubjectPublicKeyInfo. */
  publicKey: Uint8Array<ArrayBuffer>;
  /** The part that is signed, as received. */
  signed: Uint8Array<ArrayBuffer>;
  /** DER. */
  signature: Uint8Array<ArrayBuffer>;
}

const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
/** Extensions that may be critical, since this package heeds them. */
const HEEDED = [id_ce_basicConstraints, id_ce_keyUsage];

interface Kind {
  suite?: Suite;
  /** Of the error. */
  code?: AttestationErrorCode;
}

/**
 * Reads a certificate: X.509 v3 in DER, signed and with a key as the suite says; as in the chains of the Nitro Secure Module,
 * unless told otherwise. Throws ATTESTATION_CERTIFICATE, or `code`.
 */
export function readCertificate(
  der: Uint8Array,
  place: string,
  { suite = es384, code = 'ATTESTATION_CERTIFICATE' }: Kind = {},
): Certificate {
  try {
    return read(der, place, suite);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AttestationError(code, `${place} cannot be used: ${reason}`, cause);
  }
}

function read(der: Uint8Array, place: string, suite: Suite): Certificate {
  const { tbsCertificate: body, tbsCertificateRaw, ...outer } = parseDer(der, CertificateSyntax);
  if (tbsCertificateRaw === undefined) throw new Error('it has nothing that is signed');
  if (body.version !== Version.v3) throw new Error(`it is X.509 version ${body.version + 1}; 3 is allowed`);
  if (!isSignedBy(suite, outer.signatureAlgorithm) || !isSignedBy(suite, body.signature)) {
    throw new Error(`it does not say ${suite.signatureName} in both of its places`);
  }
  if (!isKeyOf(suite, body.subjectPublicKeyInfo)) throw new Error(`its key is not on ${suite.curve}`);
  const extensions = new Map<string, ArrayBuffer>();
  for (const { extnID, critical, extnValue } of body.extensions ?? []) {
    if (extensions.has(extnID)) throw new Error(`it has the extension ${extnID} twice`);
    if (critical && !HEEDED.includes(extnID)) throw new Error(`its critical extension ${extnID} is not known here`);
    extensions.set(extnID, extnValue.buffer);
  }
  const constraints = extension(extensions, id_ce_basicConstraints, BasicConstraints);
  const usage = extension(extensions, id_ce_keyUsage, KeyUsage)?.toNumber() ?? 0;
  return {
    place,
    suite,
    issuer: serialize(body.issuer),
    subject: serialize(body.subject),
    notBefore: body.validity.notBefore.getTime().getTime(),
    notAfter: body.validity.notAfter.getTime().getTime(),
    isAuthority: constraints?.cA === true,
    ...(constraints?.pathLenConstraint !== undefined && { pathLength: constraints.pathLenConstraint }),
    signsCertificates: (usage & KeyUsageFlags.keyCertSign) !== 0,
    signsData: (usage & KeyUsageFlags.digitalSignature) !== 0,
    extensions,
    publicKey: serialize(body.subjectPublicKeyInfo),
    signed: new Uint8Array(tbsCertificateRaw),
    signature: new Uint8Array(outer.signatureValue),
  };
}

function extension<T>(all: ReadonlyMap<string, ArrayBuffer>, id: string, type: new () => T): T | undefined {
  const value = all.get(id);
  return value === undefined ? undefined : parseDer(new Uint8Array(value), type);
}

/** The parser takes BER, and bytes behind the end: what is written again must be the same, which makes it DER. */
export function parseDer<T>(der: Uint8Array, type: new () => T): T {
  const value = AsnConvert.parse(der, type);
  if (!equalBytes(serialize(value), der)) throw new Error('it is not in DER, or bytes follow it');
  return value;
}

function serialize(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(AsnConvert.serialize(value));
}

/** RFC 5758, section 3.2: without parameters. */
function isSignedBy({ signatureId }: Suite, { algorithm, parameters }: AlgorithmIdentifier): boolean {
  return algorithm === signatureId && (parameters === undefined || parameters === null);
}

function isKeyOf({ curveId }: Suite, { algorithm }: SubjectPublicKeyInfo): boolean {
  return (
    algorithm.algorithm === EC_PUBLIC_KEY &&
    algorithm.parameters instanceof ArrayBuffer &&
    equalBytes(new Uint8Array(algorithm.parameters), curveId)
  );
}
