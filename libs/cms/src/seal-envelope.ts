import { constants, createCipheriv, createPublicKey, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { CmsError } from './errors.ts';
import { CHUNK_BYTES, MAX_PLAINTEXT_BYTES } from './limits.ts';
import { recipientIdOf } from './recipient-id.ts';
import { objectIds, tags } from './tags.ts';
import { element, openElement } from './write-ber.ts';

const VERSION = element(tags.INTEGER, Buffer.from([2]));
const SHA256 = element(tags.SEQUENCE, element(tags.OBJECT_IDENTIFIER, objectIds.sha256), element(tags.NULL));
const OAEP_SHA256 = element(
  tags.SEQUENCE,
  element(tags.OBJECT_IDENTIFIER, objectIds.rsaesOaep),
  element(
    tags.SEQUENCE,
    element(tags.CONTEXT_0_CONSTRUCTED, SHA256),
    element(
      tags.CONTEXT_1_CONSTRUCTED,
      element(tags.SEQUENCE, element(tags.OBJECT_IDENTIFIER, objectIds.mgf1), SHA256),
    ),
  ),
);

/**
 * Seals a secret for the holder of an RSA-2048 key, byte for byte in the shape of the answers of KMS: indefinite lengths
 * outside, the recipient definite, the content in chunks.
 *
 * @param plaintext at most 4,096 bytes; else a RangeError
 * @param publicKeySpki DER SubjectPublicKeyInfo, as an attestation document has it
 *
 * Throws CMS_KEY_INVALID.
 */
export function sealEnvelope(plaintext: Uint8Array, publicKeySpki: Uint8Array): Buffer {
  if (plaintext.length > MAX_PLAINTEXT_BYTES) {
    throw new RangeError(`${plaintext.length} bytes to seal; at most ${MAX_PLAINTEXT_BYTES} go into an envelope`);
  }
  const publicKey = readPublicKey(publicKeySpki);
  const key = randomBytes(32);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const content = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const encryptedKey = publicEncrypt(
    { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
    key,
  );
  key.fill(0);
  const recipient = element(
    tags.SEQUENCE,
    VERSION,
    element(tags.CONTEXT_0, recipientIdOf(publicKey)),
    OAEP_SHA256,
    element(tags.OCTET_STRING, encryptedKey),
  );
  const encrypted = openElement(
    tags.SEQUENCE,
    element(tags.OBJECT_IDENTIFIER, objectIds.data),
    element(tags.SEQUENCE, element(tags.OBJECT_IDENTIFIER, objectIds.aes256Cbc), element(tags.OCTET_STRING, iv)),
    openElement(tags.CONTEXT_0, ...chunksOf(content).map((chunk) => element(tags.OCTET_STRING, chunk))),
  );
  const data = openElement(tags.SEQUENCE, VERSION, element(tags.SET, recipient), encrypted);
  const type = element(tags.OBJECT_IDENTIFIER, objectIds.envelopedData);
  return openElement(tags.SEQUENCE, type, openElement(tags.CONTEXT_0, data));
}

function readPublicKey(spki: Uint8Array): KeyObject {
  const invalid = (found: string): CmsError =>
    new CmsError(
      'CMS_KEY_INVALID',
      `${found}; an envelope is sealed for an RSA key of 2048 bits`,
      'put the DER SubjectPublicKeyInfo of an RSA-2048 key into the attestation document',
    );
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch {
    throw invalid('the recipient has no DER SubjectPublicKeyInfo');
  }
  // OpenSSL takes bytes behind the end, and the identifier is made of the whole
  if (!key.export({ format: 'der', type: 'spki' }).equals(spki))
    throw invalid('the SubjectPublicKeyInfo is not in DER');
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType !== 'rsa' || modulusLength !== 2048) {
    throw invalid(`the recipient has a key of type ${key.asymmetricKeyType}, ${modulusLength ?? 'other'} bits`);
  }
  return key;
}

function chunksOf(content: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < content.length; at += CHUNK_BYTES) chunks.push(content.subarray(at, at + CHUNK_BYTES));
  return chunks;
}
