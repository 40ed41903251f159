import { decodeCbor } from '../cbor.ts';
import { MAX_TIMESTAMP_MS } from '../limits.ts';
import { NsmError } from './errors.ts';

/** Where the payload stands in a COSE_Sign1 (RFC 9052, section 4.2). */
const PAYLOAD = 2;

/**
 * The instant at which a document was made, by the clock of its NSM. Nothing is verified: this is for whoever has the document
 * straight from the device. Throws NsmError NSM_INVALID_RESPONSE.
 */
export function documentTime(document: Uint8Array): Date {
  try {
    const sign1 = decodeCbor(document);
    const payload = Array.isArray(sign1) ? sign1[PAYLOAD] : undefined;
    const fields = payload instanceof Uint8Array ? decodeCbor(payload) : undefined;
    const timestamp = fields instanceof Map ? fields.get('timestamp') : undefined;
    if (typeof timestamp === 'number' && timestamp > 0 && timestamp <= MAX_TIMESTAMP_MS) return new Date(timestamp);
  } catch (cause) {
    throw new NsmError('NSM_INVALID_RESPONSE', 'the document that the NSM made is no CBOR', { cause });
  }
  throw new NsmError('NSM_INVALID_RESPONSE', 'the document that the NSM made names no time');
}
