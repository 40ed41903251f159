import { concatBytes } from './bytes.ts';
import type { Certificate } from './certificate.ts';
import type { AttestationDocument } from './document.ts';
import { AttestationError } from './errors.ts';

export type SigningKey = Pick<Certificate, 'publicKey' | 'place' | 'suite'>;

/**
 * Whether `signature` (r and s, each of the suite's width) over `data` is by the key of a certificate. Throws
 * ATTESTATION_CERTIFICATE for a point that is not on the curve.
 */
export async function isSignedByKeyOf(
  { publicKey, place, suite }: SigningKey,
  signature: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const key = { name: 'ECDSA', namedCurve: suite.curve };
  let imported: Awaited<ReturnType<typeof crypto.subtle.importKey>>;
  try {
    imported = await crypto.subtle.importKey('spki', publicKey, key, false, ['verify']);
  } catch (cause) {
    throw new AttestationError('ATTESTATION_CERTIFICATE', `the key of ${place} is no point on ${suite.curve}`, cause);
  }
  return crypto.subtle.verify({ name: 'ECDSA', hash: suite.hash }, imported, signature, data);
}

/**
 * What the signature of a document is over: `["Signature1", protected, h'', payload]` (RFC 9052, section 4.4). Header and
 * payload are put in as they were received.
 */
export function signedBytes({ protectedHeader, payload }: AttestationDocument): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode('Signature1');
  return concatBytes(
    Uint8Array.of(0x84, 0x60 | name.length),
    name,
    byteStringHead(protectedHeader.length),
    protectedHeader,
    byteStringHead(0),
    byteStringHead(payload.length),
    payload,
  );
}

/** Shortest form, as RFC 9052 asks for; a document has less than 65,536 bytes. */
function byteStringHead(length: number): Uint8Array {
  if (length < 24) return Uint8Array.of(0x40 | length);
  if (length < 256) return Uint8Array.of(0x58, length);
  return Uint8Array.of(0x59, length >> 8, length & 0xff);
}
