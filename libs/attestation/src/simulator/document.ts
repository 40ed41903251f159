import { sign } from 'node:crypto';
import { type Encodable, encodeCbor } from '../nsm/cbor-encode.ts';
import type { AttestationFields } from '../nsm/request.ts';
import type { CertificateChain } from './chain.ts';

/** Label of the algorithm in a COSE header, and ES384 (RFC 9052, section 3.1; RFC 9053, section 2.1). */
const PROTECTED_HEADER = encodeCbor(new Map([[1, -35]]));
/** Major type of a map, in its head's upper bits. */
const MAP = 5 << 5;
const INDEFINITE = 31;
const BREAK = 0xff;

export interface DocumentContent {
  moduleId: string;
  timestamp: number;
  /** The locked registers. */
  pcrs: ReadonlyMap<number, Uint8Array>;
  fields: AttestationFields;
}

/**
 * An attestation document in the form of AWS's newest (December 2025): COSE_Sign1 without a tag; ES384; payload a map of
 * indefinite length with its keys in this order, and null for a field that was not asked for.
 */
export function signDocument({ moduleId, timestamp, pcrs, fields }: DocumentContent, chain: CertificateChain): Buffer {
  const payload = indefinite(
    new Map<string, Encodable>([
      ['module_id', moduleId],
      ['digest', 'SHA384'],
      ['timestamp', timestamp],
      ['pcrs', pcrs],
      ['certificate', chain.certificate],
      ['cabundle', chain.cabundle],
      ['public_key', fields.publicKey ?? null],
      ['user_data', fields.userData ?? null],
      ['nonce', fields.nonce ?? null],
    ]),
  );
  const signed = encodeCbor(['Signature1', PROTECTED_HEADER, Buffer.alloc(0), payload]);
  const signature = sign('sha384', signed, { key: chain.privateKey, dsaEncoding: 'ieee-p1363' });
  return encodeCbor([PROTECTED_HEADER, new Map(), payload, signature]);
}

/** A map of fewer than 24 entries, whose head is one byte, in indefinite length. */
function indefinite(map: ReadonlyMap<string, Encodable>): Buffer {
  return Buffer.concat([Buffer.of(MAP | INDEFINITE), encodeCbor(map).subarray(1), Buffer.of(BREAK)]);
}
