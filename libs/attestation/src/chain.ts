import { equalBytes } from './bytes.ts';
import { type Certificate, readCertificate } from './certificate.ts';
import { rawSignature } from './der-signature.ts';
import type { AttestationDocument } from './document.ts';
import { AttestationError } from './errors.ts';
import { isSignedByKeyOf } from './signature.ts';

type Bundle = Pick<AttestationDocument, 'cabundle' | 'certificate'>;

/**
 * Checks that the certificates of a document lead from one of `roots` to its own, and that each is valid at `at`. The root in
 * the document is never trusted for being there: it must be one of `roots`, byte for byte. Gives the leaf.
 *
 * Throws ATTESTATION_ROOT, ATTESTATION_CERTIFICATE, ATTESTATION_ISSUER, ATTESTATION_AUTHORITY, ATTESTATION_LEAF,
 * ATTESTATION_CERTIFICATE_SIGNATURE, ATTESTATION_NOT_YET_VALID, ATTESTATION_EXPIRED.
 */
export async function verifyChain(bundle: Bundle, roots: readonly Uint8Array[], at: Date): Promise<Certificate> {
  const [first] = bundle.cabundle;
  if (first === undefined || !roots.some((root) => equalBytes(root, first))) {
    throw new AttestationError('ATTESTATION_ROOT', 'the first certificate of the cabundle is not a trusted root');
  }
  const authorities = bundle.cabundle.map((der, index) => readCertificate(der, `cabundle[${index}]`));
  const leaf = readCertificate(bundle.certificate, 'certificate');
  for (const [index, authority] of authorities.entries()) checkAuthority(authority, authorities.length - 1 - index);
  checkLeaf(leaf);
  const chain = [...authorities, leaf];
  for (const [index, issuer] of authorities.entries()) {
    const subject = chain[index + 1];
    if (subject !== undefined) await checkLink(issuer, subject);
  }
  for (const certificate of chain) checkValidity(certificate, at);
  return leaf;
}

function checkAuthority({ place, isAuthority, signsCertificates, pathLength }: Certificate, below: number): void {
  const refuse = (found: string): AttestationError =>
    new AttestationError('ATTESTATION_AUTHORITY', `${place} may not issue what it issued: ${found}`);
  if (!isAuthority) throw refuse('it is no certificate authority');
  if (!signsCertificates) throw refuse('its key usage lacks keyCertSign');
  if (pathLength !== undefined && pathLength < below) {
    throw refuse(`${below} authorities follow it, and its path length allows ${pathLength}`);
  }
}

function checkLeaf({ isAuthority, signsCertificates, signsData }: Certificate): void {
  if (isAuthority || signsCertificates) {
    throw new AttestationError('ATTESTATION_LEAF', 'the certificate of the document is that of an authority');
  }
  if (!signsData) {
    throw new AttestationError(
      'ATTESTATION_LEAF',
      'the key usage of the document’s certificate lacks digitalSignature',
    );
  }
}

async function checkLink(issuer: Certificate, subject: Certificate): Promise<void> {
  if (!equalBytes(subject.issuer, issuer.subject)) {
    throw new AttestationError(
      'ATTESTATION_ISSUER',
      `the issuer of ${subject.place} is not the subject of ${issuer.place}`,
    );
  }
  const signature = rawSignature(subject.signature, issuer.suite.width);
  if (signature === undefined || !(await isSignedByKeyOf(issuer, signature, subject.signed))) {
    throw new AttestationError(
      'ATTESTATION_CERTIFICATE_SIGNATURE',
      `the signature of ${subject.place} is not by the key of ${issuer.place}`,
    );
  }
}

/**
 * RFC 5280, section 4.1.2.5: valid "through notAfter, inclusive", which is a whole second. The instant notAfter itself is
 * taken, everything after it is refused, the rest of that second included.
 */
export function checkValidity({ place, notBefore, notAfter }: Certificate, at: Date): void {
  const now = at.getTime();
  // Negated, so that a date which cannot be compared is refused, too
  if (!(now >= notBefore)) {
    throw new AttestationError(
      'ATTESTATION_NOT_YET_VALID',
      `${place} is valid from ${show(notBefore)}, later than ${at.toISOString()}`,
    );
  }
  if (!(now <= notAfter)) {
    throw new AttestationError(
      'ATTESTATION_EXPIRED',
      `${place} was valid until ${show(notAfter)}, earlier than ${at.toISOString()}`,
    );
  }
}

function show(instant: number): string {
  return Number.isNaN(instant) ? 'no date' : new Date(instant).toISOString();
}
