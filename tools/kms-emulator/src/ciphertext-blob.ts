import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { canonicalContext, type EncryptionContext } from './encryption-context.ts';
import type { SymmetricKey } from './key.ts';
import { KmsError } from './kms-error.ts';

/**
 * A CiphertextBlob of the emulator: magic, id of the key (16 bytes of its UUID), nonce (12), AES-256-GCM of the plaintext,
 * tag (16). Header and encryption context are authenticated. The form of AWS's own blobs is not public.
 */
const MAGIC = Buffer.from('EKMS\x01', 'latin1');
const ID_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = MAGIC.length + ID_BYTES;
const CIPHER = 'aes-256-gcm';

export function sealBlob(key: SymmetricKey, plaintext: Uint8Array, context: EncryptionContext): Buffer {
  const header = Buffer.concat([MAGIC, Buffer.from(key.id.replaceAll('-', ''), 'hex')]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.material, nonce);
  cipher.setAAD(Buffer.concat([header, canonicalContext(context)]));
  return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Which key a blob was made with. Throws InvalidCiphertextException. */
export function keyIdOfBlob(blob: Buffer): string {
  if (blob.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES || !blob.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new KmsError('InvalidCiphertextException');
  }
  const hex = blob.toString('hex', MAGIC.length, HEADER_BYTES);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Throws InvalidCiphertextException, for another encryption context too. */
export function openBlob(key: SymmetricKey, blob: Buffer, context: EncryptionContext): Buffer {
  const nonce = blob.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key.material, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([blob.subarray(0, HEADER_BYTES), canonicalContext(context)]));
  decipher.setAuthTag(blob.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(blob.subarray(HEADER_BYTES + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new KmsError('InvalidCiphertextException');
  }
}
