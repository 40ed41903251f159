import type { CborKey, CborValue } from './cbor.ts';
import type { AttestationDocument } from './document.ts';
import { AttestationError } from './errors.ts';
import {
  MAX_CABUNDLE,
  MAX_CERTIFICATE_BYTES,
  MAX_OPTION_BYTES,
  MAX_PCRS,
  MAX_TIMESTAMP_MS,
  PCR_SIZES,
} from './limits.ts';

type Fields = Omit<AttestationDocument, 'protectedHeader' | 'payload' | 'signature'>;

/**
 * The fields of a document, each within its bounds (nsm-api, `attestation_process.md`, 3.2.2.2). Keys that are not
 * known are ignored. Throws ATTESTATION_FIELD.
 */
export function readPayload(map: ReadonlyMap<CborKey, CborValue>): Fields {
  const publicKey = option(map, 'public_key', 1);
  const userData = option(map, 'user_data', 0);
  const nonce = option(map, 'nonce', 0);
  return {
    moduleId: moduleId(map.get('module_id')),
    digest: digest(map.get('digest')),
    timestamp: timestamp(map.get('timestamp')),
    pcrs: pcrs(map.get('pcrs')),
    certificate: byteString('certificate', map.get('certificate'), 1, MAX_CERTIFICATE_BYTES),
    cabundle: cabundle(map.get('cabundle')),
    ...(publicKey !== undefined && { publicKey }),
    ...(userData !== undefined && { userData }),
    ...(nonce !== undefined && { nonce }),
  };
}

function moduleId(value: CborValue | undefined): string {
  if (typeof value === 'string' && value !== '') return value;
  throw wrong('module_id', value, 'a text that is not empty');
}

function digest(value: CborValue | undefined): 'SHA384' {
  if (value === 'SHA384') return value;
  throw wrong('digest', value, 'SHA384');
}

function timestamp(value: CborValue | undefined): number {
  if (typeof value === 'number' && value > 0 && value <= MAX_TIMESTAMP_MS) return value;
  throw wrong('timestamp', value, `an integer from 1 to ${MAX_TIMESTAMP_MS}`);
}

function pcrs(value: CborValue | undefined): Map<number, Uint8Array> {
  if (!(value instanceof Map) || value.size < 1 || value.size > MAX_PCRS) {
    throw wrong('pcrs', value, `a map of 1 to ${MAX_PCRS}`);
  }
  const registers = new Map<number, Uint8Array>();
  for (const [index, register] of value) {
    if (typeof index !== 'number' || index < 0 || index >= MAX_PCRS) {
      throw wrong('an index of pcrs', index, `an integer from 0 to ${MAX_PCRS - 1}`);
    }
    if (!(register instanceof Uint8Array) || !PCR_SIZES.includes(register.length)) {
      throw wrong(`PCR${index}`, register, `a byte string of ${PCR_SIZES.join(', ')}`);
    }
    registers.set(index, register);
  }
  return registers;
}

function cabundle(value: CborValue | undefined): Uint8Array[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > MAX_CABUNDLE) {
    throw wrong('cabundle', value, `an array of 1 to ${MAX_CABUNDLE}`);
  }
  return value.map((each, index) => byteString(`cabundle[${index}]`, each, 1, MAX_CERTIFICATE_BYTES));
}

/** An option that was not asked for is null; by the letter of the specification it would be left out. */
function option(map: ReadonlyMap<CborKey, CborValue>, name: string, min: number): Uint8Array | undefined {
  const value = map.get(name);
  return value === undefined || value === null ? undefined : byteString(name, value, min, MAX_OPTION_BYTES);
}

function byteString(name: string, value: CborValue | undefined, min: number, max: number): Uint8Array {
  if (value instanceof Uint8Array && value.length >= min && value.length <= max) return value;
  throw wrong(name, value, `a byte string of ${min} to ${max}`);
}

function wrong(name: string, value: CborValue | undefined, allowed: string): AttestationError {
  return new AttestationError(
    'ATTESTATION_FIELD',
    `${name} of the document is ${describe(value)}; allowed is ${allowed}`,
  );
}

function describe(value: CborValue | undefined): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return `a byte string of ${value.length}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Map) return `a map of ${value.size}`;
  if (typeof value === 'string') return `a text of ${value.length}`;
  return typeof value === 'object' ? 'of another type' : String(value);
}
