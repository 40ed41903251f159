import { createDecipheriv, createPublicKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { CmsError } from './errors.ts';
import { type Envelope, parseEnvelope } from './parse-envelope.ts';
import { recipientIdOf } from './recipient-id.ts';

const CONTENT_KEY_BYTES = 32;

/**
 * Opens what KMS sends as `CiphertextForRecipient`.
 *
 * What fails with the private key in hand fails in one way, CMS_NOT_OPENED, and after the same steps: a wrong padding must
 * not be told from a wrong key by those who can send us envelopes. The content has no MAC, so a changed IV can pass: who
 * sent the answer is for TLS to say. The work with the private key is done off the event loop.
 *
 * @param ber the decoded bytes, at most 6,144
 * @param privateKey RSA-2048
 * @returns the plaintext; the caller's to wipe
 *
 * Rejects with CMS_MALFORMED, CMS_UNSUPPORTED, CMS_RECIPIENT_DIFFERS, CMS_NOT_OPENED.
 */
export async function openEnvelope(ber: Uint8Array, privateKey: KeyObject): Promise<Buffer> {
  const envelope = parseEnvelope(ber);
  const recipient = recipientOf(privateKey);
  if (!envelope.recipientId.equals(recipient.id)) {
    throw new CmsError(
      'CMS_RECIPIENT_DIFFERS',
      `the envelope is for the key with SHA-256 ${envelope.recipientId.toString('hex')}, which is not ours`,
      'send the attestation document of the key that is to open the answer',
    );
  }
  const { key, isRight } = await openKey(envelope, recipient.key);
  const plaintext = decrypt(envelope, key);
  key.fill(0);
  if (isRight && plaintext !== undefined) return plaintext;
  plaintext?.fill(0);
  throw new CmsError('CMS_NOT_OPENED', 'the envelope does not open with this key', 'ask KMS again');
}

/** What is made of a private key once, and not again for each envelope. */
interface RecipientKey {
  readonly id: Buffer;
  readonly key: webcrypto.CryptoKey;
}

const recipients = new WeakMap<KeyObject, RecipientKey>();

function recipientOf(privateKey: KeyObject): RecipientKey {
  const known = recipients.get(privateKey);
  if (known !== undefined) return known;
  const recipient = {
    id: recipientIdOf(createPublicKey(privateKey)),
    key: privateKey.toCryptoKey({ name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['decrypt']),
  };
  recipients.set(privateKey, recipient);
  return recipient;
}

/** The content's key, or one made at random where there is none: the work after it is the same. */
async function openKey(
  { encryptedKey }: Envelope,
  recipient: webcrypto.CryptoKey,
): Promise<{ key: Buffer; isRight: boolean }> {
  const other = randomBytes(CONTENT_KEY_BYTES);
  try {
    const key = Buffer.from(await webcrypto.subtle.decrypt({ name: 'RSA-OAEP' }, recipient, encryptedKey));
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
