import { isBytes } from './bytes.ts';
import type { VerifyOptions } from './document.ts';
import { AttestationError } from './errors.ts';
import { MAX_PCRS } from './limits.ts';

const bytes = { allowed: 'bytes', test: isBytes };

const NAMES: readonly string[] = ['roots', 'at', 'expect'] satisfies (keyof VerifyOptions)[];

/** What may be expected, and how it must look. */
const expectations: Record<string, { allowed: string; test: (value: unknown) => boolean }> = {
  pcrs: {
    allowed: `a Map with at least one index from 0 to ${MAX_PCRS - 1} and its bytes`,
    test: (value) =>
      value instanceof Map && value.size > 0 && [...value].every(([index, each]) => isRegister(index) && isBytes(each)),
  },
  nonce: bytes,
  userData: bytes,
  publicKey: bytes,
  maxAgeMs: { allowed: 'a number of milliseconds', test: (value) => Number.isFinite(value) && (value as number) >= 0 },
  allowDebug: { allowed: 'a boolean', test: (value) => typeof value === 'boolean' },
};

/** What is expected of a certificate: the rest of the document is there to bind it. */
const ATTESTED: readonly string[] = ['pcrs', 'maxAgeMs', 'allowDebug'];

/** As `checkOptions`; registers are not optional. Throws ATTESTATION_OPTION. */
export function checkAttestedOptions(options: VerifyOptions): void {
  checkOptions(options);
  if (options.expect?.pcrs === undefined) throw wrong('expect.pcrs', expectations.pcrs?.allowed ?? '');
  const other = Object.keys(options.expect).find((name) => !ATTESTED.includes(name));
  if (other !== undefined) throw wrong(`expect.${other}`, `one of ${ATTESTED.join(', ')}`);
}

/**
 * Callers without TypeScript make mistakes that would silently check less: a nonce that is undefined because a session was
 * lost, hexadecimal digits for bytes, a name that does not exist. Throws ATTESTATION_OPTION.
 */
export function checkOptions(options: VerifyOptions): void {
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw wrong(unknown, `one of ${NAMES.join(', ')}`);
  if (!(options.at instanceof Date) || Number.isNaN(options.at.getTime())) throw wrong('at', 'a Date with an instant');
  if (
    options.roots !== undefined &&
    !(Array.isArray(options.roots) && options.roots.length > 0 && options.roots.every(isBytes))
  ) {
    throw wrong('roots', 'a list of at least one certificate in DER');
  }
  for (const [name, value] of Object.entries(options.expect ?? {})) {
    const expectation = Object.hasOwn(expectations, name) ? expectations[name] : undefined;
    if (expectation === undefined) throw wrong(`expect.${name}`, `one of ${Object.keys(expectations).join(', ')}`);
    if (!expectation.test(value)) throw wrong(`expect.${name}`, `${expectation.allowed}, or be left out`);
  }
}

function isRegister(index: unknown): boolean {
  return Number.isInteger(index) && (index as number) >= 0 && (index as number) < MAX_PCRS;
}

function wrong(name: string, allowed: string): AttestationError {
  return new AttestationError('ATTESTATION_OPTION', `the option ${name} cannot be used; it must be ${allowed}`);
}
