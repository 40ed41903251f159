import { SECRET_ACTIONS } from '../policy/actions.ts';
import { effectOf, isAttestation, isMeasurement, isZero, registerOf } from '../policy/condition.ts';
import type { Statement } from '../policy/document.ts';
import { attestedStatements, covers, isAttested } from './attested.ts';
import { type Finding, type FindingId, finding } from './findings.ts';

/** Who may get at the key's secrets without attestation, and who may change that. */
export function checkAccess(statements: readonly Statement[]): Finding[] {
  const enclaveRoles = new Set(attestedStatements(statements).flatMap(({ principals }) => principals));
  return statements
    .filter(({ effect }) => effect === 'Allow')
    .flatMap((statement) => [
      ...checkGrammar(statement),
      ...checkSecrets(statement, enclaveRoles, statements),
      ...checkControl(statement, enclaveRoles, statements),
    ]);
}

function checkGrammar(statement: Statement): Finding[] {
  const found = (id: FindingId, text: string): Finding[] => [finding(id, text, statement)];
  const hasAction = statement.actions !== undefined || statement.notActions !== undefined;
  const missing = [...(hasAction ? [] : ['Action']), ...(statement.hasResource ? [] : ['Resource'])];
  return [
    ...(missing.length > 0 ? found('statement-without-effect', `no ${missing.join(' and no ')}`) : []),
    ...(statement.notPrincipal ? found('not-principal', 'Allow with NotPrincipal') : []),
    ...(statement.notActions === undefined ? [] : found('not-action', `NotAction ${statement.notActions.join(', ')}`)),
    ...(isOpen(statement) && statement.conditions.length === 0 ? found('open-principal', 'Principal *') : []),
    ...(isOpen(statement) && isAttested(statement) && statement.conditions.every(isAttestation)
      ? found('open-principal-attested', 'Principal * with nothing but attestation conditions')
      : []),
  ];
}

function checkSecrets(
  statement: Statement,
  enclaveRoles: ReadonlySet<string>,
  statements: readonly Statement[],
): Finding[] {
  if (isAttested(statement)) return [];
  return statement.principals.flatMap((principal) => {
    const open = SECRET_ACTIONS.filter(
      (action) => covers(statement, action) && !isGuarded(statements, principal, action),
    );
    if (open.length === 0) return [];
    return [finding(useOf(principal, enclaveRoles), `${principal} may ${open.join(', ')}`, statement)];
  });
}

function useOf(principal: string, enclaveRoles: ReadonlySet<string>): FindingId {
  if (enclaveRoles.has(principal) || principal === '*') return 'unattested-use';
  return isAccount(principal) ? 'account-can-decrypt' : 'unattested-use-by-others';
}

function checkControl(
  statement: Statement,
  enclaveRoles: ReadonlySet<string>,
  statements: readonly Statement[],
): Finding[] {
  // What carries no document is never allowed under an attestation condition
  if (isAttested(statement)) return [];
  return statement.principals.flatMap((principal) => {
    const may = (action: string): boolean => covers(statement, action) && !isGuarded(statements, principal, action);
    const changes = may('kms:PutKeyPolicy');
    const grants = may('kms:CreateGrant');
    const found = (id: FindingId, action: string): Finding => finding(id, `${principal} may ${action}`, statement);
    if (isAccount(principal)) {
      return [
        ...(changes ? [found('account-can-change-policy', 'kms:PutKeyPolicy')] : []),
        // Where it may decrypt, too, that is said already
        ...(grants && !may('kms:Decrypt') ? [found('role-can-grant', 'kms:CreateGrant')] : []),
      ];
    }
    const isEnclave = enclaveRoles.has(principal) || principal === '*';
    return [
      ...(changes
        ? [found(isEnclave ? 'enclave-role-can-change-policy' : 'role-can-change-policy', 'kms:PutKeyPolicy')]
        : []),
      ...(grants ? [found(isEnclave ? 'enclave-role-can-grant' : 'role-can-grant', 'kms:CreateGrant')] : []),
    ];
  });
}

/** Whether a Deny statement refuses this always, or to everybody whose document has not the right value of some register. */
function isGuarded(statements: readonly Statement[], principal: string, action: string): boolean {
  return statements.some(
    (statement) =>
      statement.effect === 'Deny' &&
      statement.hasResource &&
      covers(statement, action) &&
      statement.principals.some((denied) => denied === principal || denied === '*') &&
      (statement.conditions.length === 0 || isAttestationGuard(statement)),
  );
}

/** All conditions of a statement have to hold, so that only one on its own denies whoever fails it. */
function isAttestationGuard({ conditions: [condition, ...others] }: Statement): boolean {
  return (
    condition !== undefined &&
    others.length === 0 &&
    isAttestation(condition) &&
    registerOf(condition) !== undefined &&
    condition.set === undefined &&
    effectOf(condition) === 'negates' &&
    condition.values.every((value) => isMeasurement(value) && !isZero(value))
  );
}

function isOpen({ principals }: Statement): boolean {
  return principals.includes('*');
}

/** An account as principal: its number, or its root user's ARN. Both mean the account and whom its IAM policies let. */
function isAccount(principal: string): boolean {
  return /^(?:\d{12}|arn:[\w-]+:iam::\d{12}:root)$/.test(principal);
}
