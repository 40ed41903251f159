import { createPublicKey, X509Certificate } from 'node:crypto';
import type { Readable } from 'node:stream';
import { MAX_DOCUMENT_BYTES } from '@enclaver/attestation';
import { readBounded } from '../../bounded-file.ts';
import { CliError } from '../../cli-error.ts';

/** Base64 takes a third more, and line ends. */
const MAX_TEXT_BYTES = 2 * MAX_DOCUMENT_BYTES;
/** One certificate or key of some hundred bytes, with a comment around it. */
const MAX_PEM_BYTES = 64 << 10;

/** A document as CBOR or as base64: CBOR begins with a byte that no text has. Errors: `ATTEST_FILE_INVALID`. */
export async function readDocument(file: string): Promise<Uint8Array> {
  const bytes = await read(file, 'document', MAX_TEXT_BYTES, file === '-' ? process.stdin : file);
  if ((bytes[0] ?? 0) >= 0x80) return bytes;
  const text = bytes.toString('latin1').replace(/\s/g, '');
  if (text === '' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw invalid(file, 'document', 'it is neither CBOR of a COSE_Sign1 nor base64');
  }
  return Buffer.from(text, 'base64');
}

/** The one certificate of a file: DER. Errors: `ATTEST_FILE_INVALID`. */
export async function readRoot(file: string): Promise<Uint8Array> {
  const pem = (await read(file, 'root', MAX_PEM_BYTES)).toString('latin1');
  const count = pem.split('-----BEGIN CERTIFICATE-----').length - 1;
  if (count !== 1) throw invalid(file, 'root', `it has ${count} certificates in PEM; one is allowed`);
  try {
    return new Uint8Array(new X509Certificate(pem).raw);
  } catch (cause) {
    throw invalid(file, 'root', (cause as Error).message, cause);
  }
}

/** A key in PEM as DER, as enclaves attest it; anything else as it is. Errors: `ATTEST_FILE_INVALID`. */
export async function readPublicKeyBytes(file: string): Promise<Uint8Array> {
  const bytes = await read(file, 'public key', MAX_PEM_BYTES);
  if (!bytes.includes('-----BEGIN PUBLIC KEY-----')) return bytes;
  try {
    return createPublicKey(bytes).export({ type: 'spki', format: 'der' });
  } catch (cause) {
    throw invalid(file, 'public key', (cause as Error).message, cause);
  }
}

async function read(file: string, what: string, max: number, source: string | Readable = file): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readBounded(source, max);
  } catch (cause) {
    throw invalid(file, what, (cause as Error).message, cause);
  }
  if (bytes.length > max) throw invalid(file, what, `it has more than ${max} bytes`);
  return bytes;
}

function invalid(file: string, what: string, reason: string, cause?: unknown): CliError {
  return new CliError(
    'ATTEST_FILE_INVALID',
    `the ${what} ${file} cannot be used: ${reason}`,
    'check its path, its rights and that it is the right file',
    cause === undefined ? undefined : { cause },
  );
}
