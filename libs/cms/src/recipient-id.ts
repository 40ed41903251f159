import { createHash, type KeyObject } from 'node:crypto';

/** How KMS names a recipient: SHA-256 of the DER SubjectPublicKeyInfo (seen in its answers; RFC 5280 would have SHA-1). */
export function recipientIdOf(publicKey: KeyObject): Buffer {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}
