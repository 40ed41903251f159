import assert from 'node:assert/strict';
import { decodeCbor } from '../../../libs/attestation/src/cbor.ts';
import { AttestationError } from '../../../libs/attestation/src/errors.ts';
import { isWellFormed } from '../../../libs/attestation/test/properties/well-formed.ts';
import { readOrRefuse } from '../target.ts';

export const seeds = [
  Buffer.from('a2646e616d65636162636576616c7565811903e8', 'hex'),
  Buffer.from('d28443a10126a1044131581a5f42010243030405fff97c00', 'hex'),
  Buffer.from('9f1bffffffffffffffff3bfffffffffffffffff5f6f7f8ffff', 'hex'),
];

/** CBOR that is taken is well-formed by another reader's word. */
export function fuzz(input: Buffer): void {
  const value = readOrRefuse(() => decodeCbor(input), AttestationError);
  if (value !== undefined) assert.ok(isWellFormed(input));
}
