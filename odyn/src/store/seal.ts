import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { StoreError } from './store-error.ts';

/**
 * A sealed value:
 *
 * | offset | size | field |
 * | --- | --- | --- |
 * | 0 | 4 | `ECS1` |
 * | 4 | 2 | length n of the wrapped key, u16 little-endian |
 * | 6 | n | data key of AES-256, encrypted by KMS |
 * | 6 + n | 12 | nonce |
 * | 18 + n | m + 8 | AES-256-GCM of version (u64 little-endian) and value |
 * | 26 + n + m | 16 | tag |
 *
 * Authenticated beside it: everything before the nonce, and the name of the value. A data key seals one value only.
 */
const MAGIC = Buffer.from('ECS1');
const HEADER_BYTES = MAGIC.length + 2;
const NONCE_BYTES = 12;
const VERSION_BYTES = 8;
const TAG_BYTES = 16;
/** A ciphertext of KMS may have 6,144 bytes; one of a data key has some 180. */
const MAX_WRAPPED_BYTES = 6_144;

export interface DataKey {
  /** 32 bytes. */
  readonly plaintext: Uint8Array;
  readonly wrapped: Uint8Array;
}

/** What is in a sealed value. */
export interface Opened {
  /** Grows with each change of the value. */
  readonly version: number;
  readonly value: Buffer;
}

export function seal(name: string, { version, value }: Opened, key: DataKey): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16LE(key.wrapped.length, MAGIC.length);
  const outside = Buffer.concat([header, key.wrapped]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.plaintext, nonce);
  cipher.setAAD(Buffer.concat([outside, Buffer.from(name)]));
  const inside = Buffer.alloc(VERSION_BYTES);
  inside.writeBigUInt64LE(BigInt(version));
  const sealed = [cipher.update(inside), cipher.update(value), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat([outside, nonce, ...sealed]);
}

/** The wrapped key of a sealed value. Throws STORE_VALUE_INVALID. */
export function wrappedKey(sealed: Buffer): Buffer {
  const length = sealed.length >= HEADER_BYTES ? sealed.readUInt16LE(MAGIC.length) : 0;
  const shortest = HEADER_BYTES + length + NONCE_BYTES + VERSION_BYTES + TAG_BYTES;
  if (!sealed.subarray(0, MAGIC.length).equals(MAGIC) || length === 0 || length > MAX_WRAPPED_BYTES) throw invalid();
  if (sealed.length < shortest) throw invalid();
  return sealed.subarray(HEADER_BYTES, HEADER_BYTES + length);
}

/** Throws STORE_VALUE_INVALID when the value was sealed under another name or key, or was changed. */
export function open(name: string, sealed: Buffer, key: Uint8Array): Opened {
  const outside = HEADER_BYTES + wrappedKey(sealed).length;
  const start = outside + NONCE_BYTES;
  const end = sealed.length - TAG_BYTES;
  let inside: Buffer;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(outside, start), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.concat([sealed.subarray(0, outside), Buffer.from(name)]));
    decipher.setAuthTag(sealed.subarray(end));
    inside = Buffer.concat([decipher.update(sealed.subarray(start, end)), decipher.final()]);
  } catch (cause) {
    throw invalid({ cause });
  }
  return { version: Number(inside.readBigUInt64LE()), value: inside.subarray(VERSION_BYTES) };
}

function invalid(options?: ErrorOptions): StoreError {
  return new StoreError('STORE_VALUE_INVALID', 'the store outside gave what this image did not seal', options);
}
