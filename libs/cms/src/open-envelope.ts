import { constants, createDecipheriv, createPublicKey, type KeyObject, privateDecrypt, randomBytes } from 'node:crypto';
import { CmsError } from './errors.ts';
import { type Envelope, parseEnvelope } from './parse-envelope.ts';
import { recipientIdOf } from './recipient-id.ts';

const CONTENT_KEY_BYTES = 32;

/**
 * Opens what KMS sends as `CiphertextForRecipient`.
 *
 * What fails with the private key in hand fails in one way, CMS_NOT_OPENED, and after the same steps: a wrong padding must
 * not be told from a wrong key by those who can send us envelopes. The content has no MAC, so a changed IV can pass: who
 * sent the answer is for TLS to say.
 *
 * @param ber the decoded bytes, at most 6,144
 * @param privateKey RSA-2048
 * @returns the plaintext; the caller's to wipe
 *
 * Throws CMS_MALFORMED, CMS_UNSUPPORTED, CMS_RECIPIENT_DIFFERS, CMS_NOT_OPENED.
 */
export function openEnvelope(ber: Uint8Array, privateKey: KeyObject): Buffer {
  const envelope = parseEnvelope(ber);
  if (!envelope.recipientId.equals(recipientIdOf(createPublicKey(privateKey)))) {
    throw new CmsError(
      'CMS_RECIPIENT_DIFFERS',
      `the envelope is for the key with SHA-256 ${envelope.recipientId.toString('hex')}, which is not ours`,
      'send the attestation document of the key that is to open the answer',
    );
  }
  const { key, isRight } = openKey(envelope, privateKey);
  const plaintext = decrypt(envelope, key);
  key.fill(0);
  if (isRight && plaintext !== undefined) return plaintext;
  plaintext?.fill(0);
  throw new CmsError('CMS_NOT_OPENED', 'the envelope does not open with this key', 'ask KMS again');
}

/** The content's key, or one made at random where there is none: the work after it is the same. */
function openKey({ encryptedKey }: Envelope, privateKey: KeyObject): { key: Buffer; isRight: boolean } {
  const other = randomBytes(CONTENT_KEY_BYTES);
  try {
    const key = privateDecrypt(
      { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
      encryptedKey,
    );
    return key.length === CONTENT_KEY_BYTES ? { key, isRight: true } : { key: other, isRight: false };
  } catch {
    return { key: other, isRight: false };
  }
}

/** Undefined when the padding is wrong; OpenSSL's error would say so. */
function decrypt({ iv, content }: Envelope, key: Buffer): Buffer | undefined {
  const decipher = createDecipheriv('aes-256-cbc', key, iv);
  const head = decipher.update(content);
  try {
    return Buffer.concat([head, decipher.final()]);
  } catch {
    return undefined;
  } finally {
    head.fill(0);
  }
}
