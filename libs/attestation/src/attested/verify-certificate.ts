import { OctetString } from '@peculiar/asn1-schema';
import { decodeCbor } from '../cbor.ts';
import { parseDer, readCertificate } from '../certificate.ts';
import { checkValidity } from '../chain.ts';
import { rawSignature } from '../der-signature.ts';
import type { AttestationDocument, DocumentExpectation } from '../document.ts';
import { AttestationError } from '../errors.ts';
import { MAX_ATTESTED_CERTIFICATE_BYTES } from '../limits.ts';
import { checkAttestedOptions } from '../options.ts';
import { isSignedByKeyOf } from '../signature.ts';
import { es256 } from '../suite.ts';
import { verifyDocument } from '../verify-document.ts';
import { ATTESTED_TLS_PURPOSE, CMW_EXTENSION, COSE_SIGN1 } from './extension.ts';

export interface VerifyCertificateOptions {
  /** Trusted roots of documents: DER. Default: the root of AWS's commercial partition. */
  roots?: readonly Uint8Array[];
  /** The instant to verify at: now. */
  at: Date;
  /** Registers at least: without them, any enclave of anybody would do. */
  expect: Pick<DocumentExpectation, 'maxAgeMs' | 'allowDebug'> & Required<Pick<DocumentExpectation, 'pcrs'>>;
}

export interface AttestedCertificate {
  /** The document in the certificate. */
  document: AttestationDocument;
  /** The key that the document attests, and that the certificate is of: SubjectPublicKeyInfo, DER. */
  publicKey: Uint8Array;
}

const PLACE = 'the certificate of the connection';

/**
 * Verifies the certificate that the other side of a TLS connection has shown in its handshake: that it carries a genuine
 * attestation document which is as expected and attests the certificate's own key for this purpose. The handshake has proven
 * that the other side has that key, so `der` must be of the very connection that is then used, and each connection needs its
 * own call. How fresh the document is, `expect.maxAgeMs` says; it holds no nonce of the caller.
 *
 * Throws AttestationError: ATTESTATION_TLS_CERTIFICATE, ATTESTATION_TLS_DOCUMENT, what `verifyDocument` throws, where
 * ATTESTATION_PUBLIC_KEY and ATTESTATION_USER_DATA say that the document is of another key or for another purpose, and
 * ATTESTATION_NOT_YET_VALID or ATTESTATION_EXPIRED.
 */
export async function verifyAttestedCertificate(
  der: Uint8Array,
  options: VerifyCertificateOptions,
): Promise<AttestedCertificate> {
  checkAttestedOptions(options);
  const { roots, at, expect } = options;
  if (der.length > MAX_ATTESTED_CERTIFICATE_BYTES) throw unusable(`it has ${der.length} bytes`);
  const certificate = readCertificate(der, PLACE, { suite: es256, code: 'ATTESTATION_TLS_CERTIFICATE' });
  const signature = rawSignature(certificate.signature, es256.width);
  if (signature === undefined || !(await isSignedByKeyOf(certificate, signature, certificate.signed))) {
    throw unusable('it is not signed by its own key');
  }
  const { publicKey } = certificate;
  const document = await verifyDocument(documentOf(certificate.extensions), {
    ...(roots && { roots }),
    at,
    expect: { ...expect, publicKey, userData: new TextEncoder().encode(ATTESTED_TLS_PURPOSE) },
  });
  checkValidity(certificate, at);
  return { document, publicKey };
}

/** Throws ATTESTATION_TLS_DOCUMENT. */
function documentOf(extensions: ReadonlyMap<string, ArrayBuffer>): Uint8Array {
  const value = extensions.get(CMW_EXTENSION);
  if (value === undefined) throw noDocument(`it lacks the extension ${CMW_EXTENSION}`);
  let record: unknown;
  try {
    record = decodeCbor(new Uint8Array(parseDer(new Uint8Array(value), OctetString).buffer));
  } catch (cause) {
    throw noDocument(`its extension ${CMW_EXTENSION} holds no CBOR`, cause);
  }
  const [type, document] = Array.isArray(record) ? record : [];
  if (type !== COSE_SIGN1 || !(document instanceof Uint8Array)) {
    throw noDocument(`its extension ${CMW_EXTENSION} holds no record of a COSE_Sign1`);
  }
  return document;
}

function unusable(reason: string): AttestationError {
  return new AttestationError('ATTESTATION_TLS_CERTIFICATE', `${PLACE} cannot be used: ${reason}`);
}

function noDocument(reason: string, cause?: unknown): AttestationError {
  return new AttestationError('ATTESTATION_TLS_DOCUMENT', `${PLACE} carries no attestation document: ${reason}`, cause);
}
