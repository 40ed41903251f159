import { malformed, unsupported } from './errors.ts';
import { type BerElement, readBer } from './read-ber.ts';
import { objectIds, tags } from './tags.ts';

/** The parts of an envelope that differ from one to the next. */
export interface Envelope {
  /** Of the recipient's public key: SHA-256 of its SubjectPublicKeyInfo, 32 bytes. */
  recipientId: Buffer;
  /** The content's key under RSAES-OAEP with RSA-2048: 256 bytes. */
  encryptedKey: Buffer;
  /** 16 bytes. */
  iv: Buffer;
  /** Under AES-256-CBC, its chunks joined: whole blocks of 16 bytes. */
  content: Buffer;
}

/** `version`: that of EnvelopedData and of KeyTransRecipientInfo where the recipient is a key identifier (RFC 5652, 6.1). */
const VERSION = 2;
const ID_BYTES = 32;
const KEY_BYTES = 256;
const BLOCK_BYTES = 16;

/**
 * Takes CMS EnvelopedData (RFC 5652) apart as KMS makes it: one recipient by key identifier, RSAES-OAEP with SHA-256 and
 * MGF1-SHA-256 without label, AES-256-CBC. Without a key nothing of it can be checked: the format has no MAC.
 *
 * Throws CMS_MALFORMED, CMS_UNSUPPORTED.
 */
export function parseEnvelope(ber: Uint8Array): Envelope {
  const [type, explicit] = members(readBer(ber), tags.SEQUENCE, 2, 'ContentInfo');
  if (!isObjectId(type, objectIds.envelopedData)) throw malformed('its content type is not envelopedData');
  const [data] = members(explicit, tags.CONTEXT_0_CONSTRUCTED, 1, 'content');
  const [version, recipients, encrypted] = members(data, tags.SEQUENCE, 3, 'EnvelopedData');
  checkVersion(version, 'EnvelopedData');
  if (recipients?.tag !== tags.SET) throw malformed('it has no recipients');
  if (recipients.children.length !== 1) throw unsupported(`it has ${recipients.children.length} recipients`);
  return { ...parseRecipient(recipients.children[0]), ...parseContent(encrypted) };
}

function parseRecipient(recipient: BerElement | undefined): Pick<Envelope, 'recipientId' | 'encryptedKey'> {
  const [version, id, algorithm, key] = members(recipient, tags.SEQUENCE, 4, 'KeyTransRecipientInfo');
  checkVersion(version, 'KeyTransRecipientInfo');
  const recipientId = bytes(id, tags.CONTEXT_0, ID_BYTES, 'subjectKeyIdentifier');
  checkKeyTransport(algorithm);
  return { recipientId, encryptedKey: bytes(key, tags.OCTET_STRING, KEY_BYTES, 'encryptedKey') };
}

/** Left-out parameters mean SHA-1 (RFC 4055, 4.1), so they have to be there. */
function checkKeyTransport(algorithm: BerElement | undefined): void {
  const [id, parameters] = sequence(algorithm, 'keyEncryptionAlgorithm');
  if (!isObjectId(id, objectIds.rsaesOaep)) throw unsupported('the key is not under RSAES-OAEP');
  const [hash, mask, label] = sequence(parameters, 'parameters of RSAES-OAEP');
  if (hash?.tag !== tags.CONTEXT_0_CONSTRUCTED || hash.children.length !== 1 || !isSha256(hash.children[0])) {
    throw unsupported('the hash of RSAES-OAEP is not SHA-256');
  }
  if (mask?.tag !== tags.CONTEXT_1_CONSTRUCTED || mask.children.length !== 1) {
    throw unsupported('RSAES-OAEP names no mask generation function');
  }
  const [maskId, maskHash] = members(mask.children[0], tags.SEQUENCE, 2, 'mask generation function');
  if (!isObjectId(maskId, objectIds.mgf1) || !isSha256(maskHash))
    throw unsupported('the mask is not by MGF1 with SHA-256');
  if (label !== undefined) throw unsupported('RSAES-OAEP has a label');
}

/** With NULL as parameters or without, as RFC 4055, 2.1 wants it read. */
function isSha256(algorithm: BerElement | undefined): boolean {
  const [id, parameters, ...more] = sequence(algorithm, 'hash algorithm');
  const isNull = parameters === undefined || (parameters.tag === tags.NULL && parameters.content.length === 0);
  return isObjectId(id, objectIds.sha256) && isNull && more.length === 0;
}

function parseContent(encrypted: BerElement | undefined): Pick<Envelope, 'iv' | 'content'> {
  const [type, algorithm, content] = members(encrypted, tags.SEQUENCE, 3, 'EncryptedContentInfo');
  if (!isObjectId(type, objectIds.data)) throw malformed('its encrypted content is not of type data');
  const [id, iv] = members(algorithm, tags.SEQUENCE, 2, 'contentEncryptionAlgorithm');
  if (!isObjectId(id, objectIds.aes256Cbc)) throw unsupported('the content is not under AES-256-CBC');
  const joined = joinContent(content);
  if (joined.length === 0 || joined.length % BLOCK_BYTES !== 0) {
    throw malformed(`its content has ${joined.length} bytes; AES-CBC gives multiples of ${BLOCK_BYTES}`);
  }
  return { iv: bytes(iv, tags.OCTET_STRING, BLOCK_BYTES, 'initialisation vector'), content: joined };
}

/** KMS sends both: one primitive octet string, or a constructed one of several. */
function joinContent(content: BerElement | undefined): Buffer {
  if (content?.tag === tags.CONTEXT_0) return Buffer.from(content.content);
  if (content?.tag !== tags.CONTEXT_0_CONSTRUCTED) throw malformed('it has no encrypted content');
  if (content.children.some(({ tag }) => tag !== tags.OCTET_STRING)) {
    throw malformed('a part of its content is no OCTET STRING');
  }
  return Buffer.concat(content.children.map((chunk) => chunk.content));
}

function checkVersion(version: BerElement | undefined, of: string): void {
  const isOurs = version?.tag === tags.INTEGER && version.content.length === 1 && version.content[0] === VERSION;
  if (!isOurs) throw malformed(`the version of ${of} is not ${VERSION}`);
}

function sequence(element: BerElement | undefined, name: string): readonly BerElement[] {
  if (element?.tag !== tags.SEQUENCE) throw malformed(`${name} is no SEQUENCE`);
  return element.children;
}

function members(element: BerElement | undefined, tag: number, count: number, name: string): readonly BerElement[] {
  if (element?.tag !== tag || element.children.length !== count)
    throw malformed(`${name} has not the shape it must have`);
  return element.children;
}

function bytes(element: BerElement | undefined, tag: number, length: number, name: string): Buffer {
  if (element?.tag !== tag) throw malformed(`it has no ${name}`);
  if (element.content.length !== length) {
    throw malformed(`its ${name} has ${element.content.length} bytes, not ${length}`);
  }
  return Buffer.from(element.content);
}

function isObjectId(element: BerElement | undefined, id: Buffer): boolean {
  return element?.tag === tags.OBJECT_IDENTIFIER && element.content.equals(id);
}
