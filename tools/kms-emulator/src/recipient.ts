import { AttestationError, type AttestationErrorCode, verifyDocument } from '@enclaver/attestation';
import { CmsError, sealEnvelope } from '@enclaver/cms';
import { z } from 'zod';
import { type ActionContext, type Answer, blob } from './action.ts';
import { KmsError } from './kms-error.ts';
import { limits } from './limits.ts';

/** `Recipient` of a request, in the five actions that have it. */
export const recipientField = z
  .object({
    AttestationDocument: blob(1, limits.documentBytes),
    KeyEncryptionAlgorithm: z.literal('RSAES_OAEP_SHA_256'),
  })
  .optional();

/** A document of another time: too old, or outside of the hours for which its certificates are valid. */
const STALE: readonly AttestationErrorCode[] = [
  'ATTESTATION_TOO_OLD',
  'ATTESTATION_FUTURE',
  'ATTESTATION_EXPIRED',
  'ATTESTATION_NOT_YET_VALID',
];

/** What a verified attestation document says: what the policy compares, and for whom the answer is sealed. */
export interface Recipient {
  pcrs: ReadonlyMap<number, Uint8Array>;
  publicKey: Uint8Array;
}

/**
 * Verifies the document of a request. One in debug mode passes, as at KMS: its registers are zeros and fit no measurement.
 *
 * Throws ValidationException for a document that cannot be verified or has no public key, AccessDeniedException for a stale one.
 * How KMS names the two is not documented.
 */
export async function attest(
  request: z.output<typeof recipientField>,
  { roots, documentAgeMs, now }: ActionContext,
): Promise<Recipient | undefined> {
  if (request === undefined) return undefined;
  if (roots.length === 0) throw invalid('the emulator was given no roots to verify it with');
  try {
    const expect = { allowDebug: true, maxAgeMs: documentAgeMs };
    const { pcrs, publicKey } = await verifyDocument(request.AttestationDocument, { roots, at: now, expect });
    if (publicKey === undefined) throw invalid('it has no public key');
    return { pcrs, publicKey };
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    if (STALE.includes(error.code))
      throw new KmsError('AccessDeniedException', `Attestation document: ${error.message}`);
    throw invalid(`${error.code}: ${error.message}`);
  }
}

/** The secret of an answer: in its plain field, or for a recipient sealed and nowhere else. */
export function secretAnswer(field: string, secret: Uint8Array, recipient: Recipient | undefined): Answer {
  if (recipient === undefined) return { [field]: Buffer.from(secret).toString('base64') };
  try {
    return { CiphertextForRecipient: sealEnvelope(secret, recipient.publicKey).toString('base64') };
  } catch (error) {
    if (!(error instanceof CmsError)) throw error;
    throw invalid(error.message);
  }
}

function invalid(found: string): KmsError {
  return new KmsError('ValidationException', `The attestation document is not valid: ${found}`);
}
