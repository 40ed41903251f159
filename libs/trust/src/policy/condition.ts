import { PCR_DIGITS, ZERO_PCR } from '../registers.ts';

/** One key of a Condition block under one operator. The values of a key are alternatives; keys and operators all have to hold. */
export interface Condition {
  /** Lower case, without set prefix and IfExists. */
  operator: string;
  /** As it stands in the policy. */
  written: string;
  set: 'all' | 'any' | undefined;
  ifExists: boolean;
  key: string;
  values: readonly string[];
}

/** What a condition on a RecipientAttestation key does to the requests that it lets through. */
export type Effect =
  /** Only documents with one of the values. */
  | 'compares'
  /** Only documents with other values, and requests without a document. */
  | 'negates'
  /** True for a request without a document. */
  | 'if-exists'
  | 'all-values'
  /** A pattern: documents that nobody measured. */
  | 'pattern'
  /** Whether there is a document at all. */
  | 'presence'
  /** No request: an operator for another type. */
  | 'never';

const PREFIX = 'kms:recipientattestation:';
const NITRO_TPM = /^nitrotpmpcr\d+$/;
const POSITIVE = ['stringequals', 'stringequalsignorecase', 'stringlike'];
const NEGATIVE = ['stringnotequals', 'stringnotequalsignorecase', 'stringnotlike'];

export function parseOperator(written: string): Pick<Condition, 'operator' | 'written' | 'set' | 'ifExists'> {
  const [, set, name = '', ifExists] = /^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$/is.exec(written) ?? [];
  return {
    operator: name.toLowerCase(),
    written,
    set: set === undefined ? undefined : set.toLowerCase() === 'forallvalues' ? 'all' : 'any',
    ifExists: ifExists !== undefined,
  };
}

/** A condition on what is in an enclave's attestation document, of the key's name or not known. NitroTPM's keys are none. */
export function isAttestation({ key }: Condition): boolean {
  const lower = key.toLowerCase();
  return lower.startsWith(PREFIX) && !NITRO_TPM.test(lower.slice(PREFIX.length));
}

/** Number of the register that a key compares: ImageSha384 is PCR0. Undefined for a key that KMS has not. */
export function registerOf({ key }: Condition): number | undefined {
  const name = key.toLowerCase().slice(PREFIX.length);
  if (name === 'imagesha384') return 0;
  const digits = /^pcr(0|[1-9]\d?)$/.exec(name)?.[1];
  return digits === undefined || Number(digits) > 31 ? undefined : Number(digits);
}

export function isImageSha({ key }: Condition): boolean {
  return key.toLowerCase() === `${PREFIX}imagesha384`;
}

export function effectOf(condition: Condition): Effect {
  const { operator, set, ifExists, values } = condition;
  if (operator === 'null') return 'presence';
  if (NEGATIVE.includes(operator)) return 'negates';
  if (!POSITIVE.includes(operator)) return 'never';
  if (set === 'all') return 'all-values';
  if (ifExists) return 'if-exists';
  if (operator === 'stringlike' && values.some((value) => /[*?]/.test(value))) return 'pattern';
  return 'compares';
}

/** Whether upper and lower case count under this operator. */
export function isCaseSensitive({ operator }: Condition): boolean {
  return !operator.endsWith('ignorecase');
}

export function isMeasurement(value: string): boolean {
  return value.length === PCR_DIGITS && /^[0-9a-fA-F]+$/.test(value);
}

export function isZero(value: string): boolean {
  return value === ZERO_PCR;
}
