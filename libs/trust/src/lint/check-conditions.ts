import {
  type Condition,
  type Effect,
  effectOf,
  isAttestation,
  isCaseSensitive,
  isImageSha,
  isMeasurement,
  isZero,
  registerOf,
} from '../policy/condition.ts';
import type { Statement } from '../policy/document.ts';
import { actionsWithoutAttestation, attestations, comparisons, conditionsByRegister } from './attested.ts';
import { type Finding, type FindingId, finding } from './findings.ts';

const EFFECTS: Record<Exclude<Effect, 'compares' | 'presence'>, FindingId> = {
  negates: 'condition-negated',
  'if-exists': 'condition-if-exists',
  'all-values': 'condition-for-all-values',
  pattern: 'condition-pattern',
  never: 'condition-type',
};

/** Registers of the image: values of two images in two of them can be put together. */
const IMAGE_REGISTERS = [0, 1, 2, 8];

/** Mistakes in how an Allow statement asks for attestation. */
export function checkAllowConditions(statement: Statement): Finding[] {
  const conditions = attestations(statement);
  if (conditions.length === 0) return [];
  return [
    ...conditions.flatMap((condition) => checkCondition(statement, condition)),
    ...checkRegisters(statement),
    ...actionsWithoutAttestation(statement).map((action) => finding('action-takes-no-attestation', action, statement)),
  ];
}

function checkCondition(statement: Statement, condition: Condition): Finding[] {
  const shown = `${condition.written} ${condition.key}`;
  const found = (id: FindingId, text = shown): Finding => finding(id, text, statement);
  if (registerOf(condition) === undefined) return [found('unknown-attestation-key')];
  const effect = effectOf(condition);
  if (effect === 'presence') return comparisons(statement).length === 0 ? [found('condition-presence')] : [];
  if (effect !== 'compares') return [found(EFFECTS[effect])];
  return [
    ...(condition.set === 'any' ? [found('condition-for-any-value')] : []),
    ...condition.values.flatMap((value) => {
      if (isZero(value)) return [found('zero-measurement')];
      if (!isMeasurement(value)) return [found('malformed-measurement', `${shown}: ${describeValue(value)}`)];
      return isCaseSensitive(condition) && /[A-F]/.test(value) ? [found('case-mismatch')] : [];
    }),
  ];
}

/** Mistakes in which registers are compared with each other. */
function checkRegisters(statement: Statement): Finding[] {
  const byRegister = conditionsByRegister(statement);
  if (byRegister.size === 0) return [];
  const found = (id: FindingId, text: string): Finding => finding(id, text, statement);
  const list = (numbers: readonly number[], joint: string): string => numbers.map((each) => `PCR${each}`).join(joint);
  const numbers = [...byRegister.keys()].sort((a, b) => a - b);
  const has = (register: number): boolean => byRegister.has(register);
  const shas = (byRegister.get(0) ?? []).filter(isImageSha);
  const several = IMAGE_REGISTERS.filter((register) => acceptedValues(byRegister.get(register) ?? []).length > 1);
  const contradictions = [...byRegister.values()].filter((conditions) => acceptedValues(conditions).length === 0);
  const keys = (conditions: readonly Condition[]): string => conditions.map(({ key }) => key).join(' and ');
  return [
    ...(has(0) || has(8) || (has(1) && has(2)) ? [] : [found('image-not-named', `only ${list(numbers, ', ')}`)]),
    ...(numbers.length === 1 && has(0) ? [found('pcr0-only', keys(byRegister.get(0) ?? []))] : []),
    ...(shas.length > 0 && comparisons(statement).length > shas.length
      ? [found('image-sha-mixed', `ImageSha384 beside ${list(numbers, ', ')}`)]
      : []),
    ...contradictions.map((conditions) => found('condition-never-holds', keys(conditions))),
    ...(several.length > 1 ? [found('cross-product', `several values of ${list(several, ' and of ')}`)] : []),
  ];
}

/** Values of a register that all of its conditions let through, in lower case. */
export function acceptedValues(conditions: readonly Condition[]): string[] {
  const [first = [], ...rest] = conditions.map(({ values }) => values.map((value) => value.toLowerCase()));
  return [...new Set(first)].filter((value) => rest.every((values) => values.includes(value)));
}

/** Mistakes in a Deny statement that is about attestation. */
export function checkDenyConditions(statement: Statement): Finding[] {
  const conditions = statement.conditions.filter(isAttestation);
  const negated = conditions.filter((condition) => effectOf(condition) === 'negates');
  const keys = (of: readonly Condition[]): string => of.map(({ written, key }) => `${written} ${key}`).join(', ');
  // To deny zeros is to deny debug mode, and means what it says
  const positive = conditions.filter(
    (condition) => !['negates', 'presence'].includes(effectOf(condition)) && !condition.values.every(isZero),
  );
  return [
    ...conditions
      .filter((condition) => registerOf(condition) === undefined)
      .map((condition) => finding('unknown-attestation-key', keys([condition]), statement)),
    ...(positive.length > 0 ? [finding('deny-lists-image', keys(positive), statement)] : []),
    ...(negated.length > 1 ? [finding('deny-conditions-joined', keys(negated), statement)] : []),
  ];
}

function describeValue(value: string): string {
  const shown = value.length > 24 ? `${value.slice(0, 24)}…` : value;
  return `${JSON.stringify(shown)} of ${value.length} characters`;
}
