import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import * as z from 'zod';

/**
 * A private key of TLS as it may lie in an image or on a server: sealed by KMS for an enclave. Two forms:
 *
 * - direct: the ciphertext of KMS's Encrypt, as bytes or in base64, for a key of at most 4,096 bytes;
 * - envelope, for any: JSON with the key under AES-256-GCM, and the data key of that as KMS's GenerateDataKey has encrypted it.
 *
 * Whichever it is, the file holds PEM, and is opened with the KMS key and the encryption context that it was sealed with.
 */
const FORMAT = 'enclaver-sealed-key/1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What KMS's Encrypt takes. */
export const MAX_DIRECT_KEY_BYTES = 4_096;

const bytes = z.base64().transform((text) => Buffer.from(text, 'base64'));
const envelopeSchema = z.strictObject({
  format: z.literal(FORMAT),
  /** Ciphertext of the data key. */
  data_key: bytes,
  nonce: bytes.refine(({ length }) => length === NONCE_BYTES),
  ciphertext: bytes,
  tag: bytes.refine(({ length }) => length === TAG_BYTES),
});

/** The file is in neither form, or the envelope does not open. */
export class SealedKeyError extends Error {
  override readonly name = 'SealedKeyError';
  readonly code = 'SEALED_KEY_INVALID';
}

export interface SealedKey {
  /** For KMS's Decrypt. */
  readonly ciphertext: Buffer;
  /** The key, from what Decrypt gives. Throws SealedKeyError. */
  open(plaintext: Buffer): Buffer;
}

/** Throws SealedKeyError. */
export function readSealedKey(file: Buffer): SealedKey {
  if (file[0] === '{'.charCodeAt(0)) return readEnvelope(file);
  const text = file.toString('latin1').replace(/\s+/g, '');
  if (text === '') throw new SealedKeyError('the file is empty');
  if (text.startsWith('-----BEGIN')) throw new SealedKeyError('the file is in PEM form, so it is not sealed at all');
  const isText = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0;
  return { ciphertext: isText ? Buffer.from(text, 'base64') : file, open: (plaintext) => plaintext };
}

/** The envelope around a key. `dataKey` has 32 bytes, `wrapped` is the same encrypted by KMS; it seals this key only. */
export function sealInEnvelope(key: Uint8Array, dataKey: Uint8Array, wrapped: Uint8Array): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce).setAAD(Buffer.from(FORMAT));
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()]);
  const fields = { data_key: Buffer.from(wrapped), nonce, ciphertext, tag: cipher.getAuthTag() };
  const texts = Object.entries(fields).map(([name, value]) => [name, value.toString('base64')]);
  return `${JSON.stringify({ format: FORMAT, ...Object.fromEntries(texts) }, null, 2)}\n`;
}

function readEnvelope(file: Buffer): SealedKey {
  let json: unknown;
  try {
    json = JSON.parse(file.toString('utf8'));
  } catch {
    // The parser's message would quote the file
    throw new SealedKeyError('the file begins like an envelope, but is not JSON');
  }
  const result = envelopeSchema.safeParse(json);
  if (!result.success) throw new SealedKeyError(`the envelope is not as it must be: ${z.prettifyError(result.error)}`);
  const { data_key, nonce, ciphertext, tag } = result.data;
  return {
    ciphertext: data_key,
    open: (dataKey) => {
      try {
        const decipher = createDecipheriv('aes-256-gcm', dataKey, nonce, { authTagLength: TAG_BYTES });
        decipher.setAAD(Buffer.from(FORMAT)).setAuthTag(tag);
        return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
      } catch {
        throw new SealedKeyError('the envelope does not open with its data key: it was changed');
      }
    },
  };
}
