import type { SignatureAlgorithm } from './cose-sign1.ts';
import type { Eif } from './read-eif.ts';
import { verifySignature } from './signature.ts';

/** A signature that verifies with the certificate beside it and is for this image's PCR0. */
export interface VerifiedSignature {
  verified: true;
  /** Distinguished name of the certificate's subject, one attribute per line. */
  subject: string;
  algorithm: SignatureAlgorithm;
  notBefore: Date;
  notAfter: Date;
  /** The certificate's validity is over. nitro-cli refuses to run such an image. */
  expired: boolean;
  /** Why the image would not be run now: outside the validity of its certificate. */
  error?: string;
}

/** A signature that is not one of this image. No more of it is given: anybody may have put it there. */
export interface BadSignature {
  verified: false;
  error: string;
}

export type SignatureState = VerifiedSignature | BadSignature;

/**
 * The signature of an image as data for people; undefined for an unsigned image. It does not throw for a bad signature,
 * so it does not stand for `verifySignature`. An image with one comes from `readEif(path, { badSignature: 'report' })`.
 */
export function describeSignature(
  eif: Pick<Eif, 'signature' | 'signatureError'>,
  { now = new Date() }: { now?: Date } = {},
): SignatureState | undefined {
  const { signature, signatureError } = eif;
  if (signatureError !== undefined) return { verified: false, error: signatureError.message };
  if (signature === undefined) return undefined;
  const { subject, algorithm, validFrom: notBefore, validTo: notAfter } = signature;
  const state: VerifiedSignature = { verified: true, subject, algorithm, notBefore, notAfter, expired: now > notAfter };
  try {
    verifySignature(eif, { at: now });
    return state;
  } catch (error) {
    return { ...state, error: (error as Error).message };
  }
}
