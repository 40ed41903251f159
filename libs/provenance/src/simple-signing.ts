import type { KeyObject } from 'node:crypto';
import * as z from 'zod';
import { decodeJson } from './json.ts';
import { ProvenanceError } from './provenance-error.ts';
import { isSignedBy } from './public-key.ts';

/** What cosign signs for an image ("simple signing", sigstore/cosign `specs/SIGNATURE_SPEC.md`). */
const payloadSchema = z.looseObject({
  critical: z.looseObject({
    image: z.looseObject({ 'docker-manifest-digest': z.string() }),
    type: z.literal('cosign container image signature'),
  }),
});

/** One signature of an image, as it is stored. */
export interface ImageSignature {
  payload: Uint8Array;
  /** Base64. */
  signature: string;
}

/**
 * Checks one signature of the image with this digest (`sha256:…`). The repository in it is not compared: a mirrored image is
 * the same image. Throws SIGNATURE_INVALID, SUBJECT_DIFFERS.
 */
export function checkImageSignature({ payload, signature }: ImageSignature, key: KeyObject, digest: string): void {
  if (!isSignedBy(key, payload, signature)) {
    throw new ProvenanceError('SIGNATURE_INVALID', 'the signature of the image is not by the key that was given');
  }
  const { critical } = decodeJson(payload, payloadSchema, 'SIGNATURE_INVALID', 'what was signed for the image');
  const signed = critical.image['docker-manifest-digest'];
  if (signed === digest) return;
  throw new ProvenanceError('SUBJECT_DIFFERS', `the signature is for image ${signed}; this one is ${digest}`);
}
