import { equalBytes, toHex } from './bytes.ts';
import type { AttestationDocument, DocumentExpectation } from './document.ts';
import { AttestationError, type AttestationFailure, type PolicyCode } from './errors.ts';
import { MAX_CLOCK_LAG_MS } from './limits.ts';

/**
 * Holds a genuine document against what the verifier expects. Throws one error that has every expectation which is not met:
 * ATTESTATION_DEBUG, ATTESTATION_PCR for each register, ATTESTATION_NONCE, ATTESTATION_USER_DATA, ATTESTATION_PUBLIC_KEY,
 * ATTESTATION_TOO_OLD, ATTESTATION_FUTURE.
 */
export function checkPolicy(document: AttestationDocument, expected: DocumentExpectation, at: Date): void {
  const [first, ...others] = [
    ...debugFailures(document, expected),
    ...registerFailures(document, expected),
    ...optionFailure('ATTESTATION_NONCE', 'nonce', document.nonce, expected.nonce),
    ...optionFailure('ATTESTATION_USER_DATA', 'user_data', document.userData, expected.userData),
    ...optionFailure('ATTESTATION_PUBLIC_KEY', 'public_key', document.publicKey, expected.publicKey),
    ...ageFailure(document, expected, at),
  ];
  if (first !== undefined) throw new AttestationError(first.code, first.message, undefined, others);
}

/** An enclave in debug mode has a genuine document, too; only its registers tell. A register that is missing tells nothing. */
function debugFailures({ pcrs }: AttestationDocument, { allowDebug }: DocumentExpectation): AttestationFailure[] {
  const image = pcrs.get(0);
  if (allowDebug === true || image?.some((byte) => byte !== 0)) return [];
  return failure(
    'ATTESTATION_DEBUG',
    `PCR0 is ${image === undefined ? 'missing' : 'all zeros'}: the enclave runs in debug mode`,
  );
}

function registerFailures({ pcrs }: AttestationDocument, expected: DocumentExpectation): AttestationFailure[] {
  return [...(expected.pcrs ?? [])].flatMap(([index, value]) => {
    const found = pcrs.get(index);
    if (found !== undefined && equalBytes(found, value)) return [];
    const shown = found === undefined ? 'missing' : toHex(found);
    return failure('ATTESTATION_PCR', `PCR${index} is ${shown}; expected is ${toHex(value)}`);
  });
}

/** The values are not shown: user data may be for the verifier alone. */
function optionFailure(
  code: PolicyCode,
  name: string,
  found: Uint8Array | undefined,
  expected: Uint8Array | undefined,
): AttestationFailure[] {
  if (expected === undefined || (found !== undefined && equalBytes(found, expected))) return [];
  return failure(code, `${name} is ${found === undefined ? 'missing' : 'not the expected one'}`);
}

function ageFailure(
  { timestamp }: AttestationDocument,
  { maxAgeMs }: DocumentExpectation,
  at: Date,
): AttestationFailure[] {
  if (maxAgeMs === undefined) return [];
  const age = at.getTime() - timestamp;
  if (age > maxAgeMs)
    return failure('ATTESTATION_TOO_OLD', `the document is ${age} ms old; at most ${maxAgeMs} ms are allowed`);
  if (age < -MAX_CLOCK_LAG_MS) {
    return failure(
      'ATTESTATION_FUTURE',
      `the document is of ${-age} ms after ${at.toISOString()}; at most ${MAX_CLOCK_LAG_MS} ms are allowed`,
    );
  }
  return [];
}

function failure(code: PolicyCode, message: string): AttestationFailure[] {
  return [{ code, message }];
}
