import { type KeyObject, X509Certificate } from 'node:crypto';
import { EifError } from './errors.ts';
import { MAX_SIGNING_FILE_BYTES } from './limits.ts';

const PEM_BEGIN = /-----BEGIN ([^\r\n-]*)-----/g;

/** Labels of the PEM blocks that begin in a text, in their order; also of those that do not end. */
export function pemLabels(pem: Uint8Array): string[] {
  return [...Buffer.from(pem).toString('latin1').matchAll(PEM_BEGIN)].map(([, label = '']) => label);
}

/** A certificate in PEM and its public key. What cannot be read is thrown as `refuse` makes it. */
export function parseCertificate(
  pem: Buffer,
  refuse: (message: string, cause?: unknown) => EifError,
): { certificate: X509Certificate; key: KeyObject } {
  // X509Certificate takes DER too, which no other reader of a signature section does.
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw refuse('the signing certificate is not in PEM form');
  try {
    const certificate = new X509Certificate(pem);
    // A certificate can be well-formed around a key that is none: OpenSSL looks only when asked for it.
    const key = certificate.publicKey;
    if (Number.isNaN(certificate.validFromDate.getTime()) || Number.isNaN(certificate.validToDate.getTime())) {
      throw new RangeError('its validity is not a pair of dates');
    }
    return { certificate, key };
  } catch (cause) {
    throw refuse('the signing certificate cannot be read', cause);
  }
}

/** What is wrong with using a certificate of this validity at that time; undefined when nothing is. */
export function outsideValidity(validFrom: Date, validTo: Date, at: Date): string | undefined {
  // Written so that an invalid date, which compares as false to everything, is refused too.
  if (at >= validFrom && at <= validTo) return undefined;
  return (
    `the signing certificate is valid from ${validFrom.toISOString()} to ${validTo.toISOString()}, ` +
    `not at ${Number.isNaN(at.getTime()) ? 'an invalid date' : at.toISOString()}`
  );
}

/**
 * Refuses what may not go into an image as its signing certificate: SIGN_CERTIFICATE for a file that is not exactly one
 * certificate in PEM (a private key beside it would be published with the image), SIGN_CERTIFICATE_DATES outside its
 * validity, SIGN_KEY_MISMATCH when it is for another key.
 */
export function checkSigningCertificate(pem: Buffer, publicKey: KeyObject, now: Date): void {
  if (pem.length > MAX_SIGNING_FILE_BYTES) {
    throw refuse(`the signing certificate has ${pem.length} bytes; at most ${MAX_SIGNING_FILE_BYTES} are allowed`);
  }
  const labels = pemLabels(pem);
  if (labels.length > 1) {
    throw refuse(`the file of the signing certificate holds ${labels.length} PEM blocks; one is allowed`);
  }
  const { certificate, key } = parseCertificate(pem, refuse);
  const problem = outsideValidity(certificate.validFromDate, certificate.validToDate, now);
  if (problem !== undefined) throw new EifError('SIGN_CERTIFICATE_DATES', problem);
  if (!key.equals(publicKey)) {
    throw new EifError(
      'SIGN_KEY_MISMATCH',
      `the certificate of ${JSON.stringify(certificate.subject)} is for another key than the one that would sign`,
    );
  }
}

function refuse(message: string, cause?: unknown): EifError {
  return new EifError('SIGN_CERTIFICATE', message, { cause });
}
