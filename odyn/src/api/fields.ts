import { ApiError } from './api-error.ts';

/** As the device has it: `user_data`, `nonce` and `public_key` of a document, each. */
const DOCUMENT_FIELD_BYTES = 1024;

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g;

/** Bytes of a field in base64. Throws API_FIELD. */
export function base64Field(name: string, text: string, maxBytes = DOCUMENT_FIELD_BYTES): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined) {
    throw invalid(`${name} is not base64`, 'give base64, with the standard or the URL-safe alphabet');
  }
  return bounded(name, bytes, maxBytes);
}

/** DER of a key, a certificate or whatever else one PEM block holds. Throws API_FIELD. */
export function pemField(name: string, text: string): Uint8Array {
  const remedy = 'give one block in PEM form, such as `openssl pkey -pubout` writes';
  const [block, ...more] = text.matchAll(PEM);
  if (block === undefined) throw invalid(`${name} holds no PEM block`, remedy);
  if (more.length > 0) throw invalid(`${name} holds ${more.length + 1} PEM blocks; one is allowed`, remedy);
  const [, label = '', body = ''] = block;
  if (label.includes('PRIVATE KEY')) {
    throw invalid(`${name} is a private key, and a document is shown to others`, remedy);
  }
  const bytes = decodeBase64(body.replace(/\s/g, ''));
  if (bytes === undefined || bytes.length === 0) throw invalid(`${name} holds no base64 in its PEM block`, remedy);
  return bounded(name, bytes, DOCUMENT_FIELD_BYTES);
}

/** Strictly: Node's own decoder leaves out what it does not know. */
function decodeBase64(text: string): Uint8Array | undefined {
  const standard = text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(standard) || standard.length % 4 === 1) return undefined;
  if (standard.length !== text.length && text.length % 4 !== 0) return undefined;
  const bytes = Buffer.from(standard, 'base64');
  // Bits that stand for nothing must be zero: one text for each value
  return bytes.toString('base64').replace(/=+$/, '') === standard ? bytes : undefined;
}

function bounded(name: string, bytes: Uint8Array, maxBytes: number): Uint8Array {
  if (bytes.length <= maxBytes) return bytes;
  throw invalid(
    `${name} has ${bytes.length} bytes; the NSM takes at most ${maxBytes}`,
    'give less; a hash may stand for what is longer',
  );
}

export function invalid(message: string, remedy: string): ApiError {
  return new ApiError(400, 'API_FIELD', message, { remedy });
}
