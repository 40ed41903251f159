import { TrustError } from './errors.ts';
import { entriesOf, type Pcrs, type Register, ZERO_PCR } from './registers.ts';

export interface Violation {
  register: Register;
  expected: string;
  /** 96 zeros for a register that is not set, such as PCR8 of an image without signature. */
  found: string;
}

/** Registers that depend on where the enclave runs: no image has them. */
const OF_THE_INSTANCE: readonly Register[] = ['PCR3', 'PCR4'];

/** The registers of an expectation that an image alone cannot answer for: PCR3 and PCR4. */
export function uncheckable(expected: Pcrs): Register[] {
  return OF_THE_INSTANCE.filter((register) => expected[register] !== undefined);
}

/** Each register of the image that is expected and has another value. PCR3 and PCR4 are left out: see `uncheckable`. */
export function compareMeasurements(expected: Pcrs, found: Pcrs): Violation[] {
  return entriesOf(expected)
    .filter(([register]) => !OF_THE_INSTANCE.includes(register))
    .map(([register, value]) => ({ register, expected: value, found: found[register] ?? ZERO_PCR }))
    .filter((each) => each.expected !== each.found);
}

/** Throws MEASUREMENTS_DIFFER, which names each register with what was expected and found. */
export function checkMeasurements(expected: Pcrs, found: Pcrs): void {
  const violations = compareMeasurements(expected, found);
  if (violations.length === 0) return;
  const lines = violations.map(
    (each) => `  ${each.register} expected ${each.expected}\n  ${each.register} found    ${shown(each.found)}`,
  );
  throw new TrustError(
    'MEASUREMENTS_DIFFER',
    `${violations.map(({ register }) => register).join(', ')} of the image ${violations.length === 1 ? 'is' : 'are'} not as expected:\n${lines.join('\n')}`,
    'do not run it unless you know why it differs: get the image that was approved, or approve this one',
  );
}

function shown(value: string): string {
  return value === ZERO_PCR ? `${value} (not set)` : value;
}
