import { ATTESTING_ACTIONS, matches } from '../policy/actions.ts';
import { type Condition, effectOf, isAttestation, registerOf } from '../policy/condition.ts';
import type { Statement } from '../policy/document.ts';

/** Conditions of a statement on what an enclave's attestation document says. */
export function attestations(statement: Statement): Condition[] {
  return statement.conditions.filter(isAttestation);
}

/** Those that compare a register with values and hold for no request without a document. */
export function comparisons(statement: Statement): { register: number; condition: Condition }[] {
  return attestations(statement).flatMap((condition) => {
    const register = registerOf(condition);
    return register === undefined || effectOf(condition) !== 'compares' ? [] : [{ register, condition }];
  });
}

/** The same by number of the register: conditions on one register all have to hold. */
export function conditionsByRegister(statement: Statement): Map<number, Condition[]> {
  const byRegister = new Map<number, Condition[]>();
  for (const { register, condition } of comparisons(statement)) {
    byRegister.set(register, [...(byRegister.get(register) ?? []), condition]);
  }
  return byRegister;
}

/** Whether a statement lets in enclaves by what they measure, and nobody else. */
export function isAttested(statement: Statement): boolean {
  return statement.effect === 'Allow' && comparisons(statement).length > 0;
}

export function attestedStatements(statements: readonly Statement[]): Statement[] {
  return statements.filter(isAttested);
}

/** Whether a statement takes in an action, by Action or NotAction, patterns or not. */
export function covers(statement: Statement, action: string): boolean {
  if (statement.actions !== undefined) return statement.actions.some((pattern) => matches(pattern, action));
  if (statement.notActions !== undefined) return !statement.notActions.some((pattern) => matches(pattern, action));
  return false;
}

/** Actions that a statement writes out and that carry no attestation document. */
export function actionsWithoutAttestation(statement: Statement): string[] {
  return (statement.actions ?? []).filter((pattern) => !ATTESTING_ACTIONS.some((action) => matches(pattern, action)));
}
