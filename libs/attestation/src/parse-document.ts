import { isBytes } from './bytes.ts';
import { type CborKey, CborTag, type CborValue, decodeCbor } from './cbor.ts';
import type { AttestationDocument } from './document.ts';
import { AttestationError } from './errors.ts';
import { MAX_DOCUMENT_BYTES } from './limits.ts';
import { readPayload } from './payload.ts';

/** RFC 9052, section 4.2. */
const COSE_SIGN1_TAG = 18;
/** Label of the algorithm in a COSE header, and ES384 (RFC 9052, section 3.1; RFC 9053, section 2.1). */
const ALG = 1;
const ES384 = -35;
const SIGNATURE_BYTES = 96;

/**
 * Reads an attestation document: COSE_Sign1, with or without its tag, as the Nitro Secure Module makes it
 * (nsm-api, `attestation_process.md`). The bounds of every field are checked; **nothing is verified**: anyone can make
 * such bytes. Use `verifyDocument` unless the document is only to be shown.
 *
 * Throws ATTESTATION_TOO_LARGE, ATTESTATION_CBOR, ATTESTATION_STRUCTURE, ATTESTATION_ALGORITHM, ATTESTATION_FIELD,
 * ATTESTATION_SIGNATURE for one that is not 96 bytes long, and ATTESTATION_OPTION for what is no Uint8Array.
 */
export function parseDocument(bytes: Uint8Array): AttestationDocument {
  if (!isBytes(bytes)) throw new AttestationError('ATTESTATION_OPTION', 'the document must be given as a Uint8Array');
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new AttestationError(
      'ATTESTATION_TOO_LARGE',
      `the document has ${bytes.length} bytes; at most ${MAX_DOCUMENT_BYTES} are allowed`,
    );
  }
  // A copy: what is verified later cannot change in between
  const outer = decodeCbor(new Uint8Array(bytes));
  const sign1 = outer instanceof CborTag && outer.tag === COSE_SIGN1_TAG ? outer.value : outer;
  if (!Array.isArray(sign1) || sign1.length !== 4) throw misshapen('it is no array of four');
  const [protectedHeader, unprotected, payload, signature] = sign1;
  if (!(protectedHeader instanceof Uint8Array)) throw misshapen('its protected header is no byte string');
  if (!(unprotected instanceof Map) || unprotected.size > 0) throw misshapen('its unprotected header is no empty map');
  if (!(payload instanceof Uint8Array)) throw misshapen('its payload is no byte string');
  if (!(signature instanceof Uint8Array)) throw misshapen('its signature is no byte string');
  checkAlgorithm(protectedHeader);
  const fields = decodeCbor(payload);
  if (!(fields instanceof Map)) throw misshapen('its payload holds no map');
  if (signature.length !== SIGNATURE_BYTES) {
    throw new AttestationError(
      'ATTESTATION_SIGNATURE',
      `the signature has ${signature.length} bytes; r and s of P-384 have ${SIGNATURE_BYTES}`,
    );
  }
  return { ...readPayload(fields), protectedHeader, payload, signature };
}

function checkAlgorithm(protectedHeader: Uint8Array): void {
  // An empty header may be no bytes at all (RFC 9052, section 3)
  const header: CborValue = protectedHeader.length === 0 ? new Map<CborKey, CborValue>() : decodeCbor(protectedHeader);
  if (header instanceof Map && header.size === 1 && header.get(ALG) === ES384) return;
  throw new AttestationError('ATTESTATION_ALGORITHM', 'the protected header does not say ES384 (-35) and nothing else');
}

function misshapen(found: string): AttestationError {
  return new AttestationError(
    'ATTESTATION_STRUCTURE',
    `the document is no COSE_Sign1 of the Nitro Secure Module: ${found}`,
  );
}
