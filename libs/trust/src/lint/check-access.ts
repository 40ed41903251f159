import { ATTESTING_ACTIONS, SECRET_ACTIONS } from '../policy/actions.ts';
import { type Condition, effectOf, isAttestation, isMeasurement, isZero, registerOf } from '../policy/condition.ts';
import type { Statement } from '../policy/document.ts';
import { nameImage } from '../registers.ts';
import { attestedStatements, covers, isAttested } from './attested.ts';
import { type Finding, type FindingId, finding } from './findings.ts';

/** By which somebody sets a policy for the key, or for a replica with the same key material (ReplicateKey takes a policy of its own). */
const POLICY_ACTIONS = ['kms:PutKeyPolicy', 'kms:ReplicateKey'] as const;

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
    const found = (id: FindingId, guard: Guard): Finding[] => {
      const actions = SECRET_ACTIONS.filter(
        (action) => covers(statement, action) && guardOf(statements, principal, action) === guard,
      );
      return actions.length === 0 ? [] : [finding(id, `${principal} may ${actions.join(', ')}`, statement)];
    };
    return [...found(useOf(principal, enclaveRoles), 'none'), ...found('image-not-named', 'any-image')];
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
    const may = (action: string): boolean =>
      covers(statement, action) && guardOf(statements, principal, action) === 'none';
    const changes = POLICY_ACTIONS.filter(may).join(', ');
    const grants = may('kms:CreateGrant');
    const found = (id: FindingId, action: string): Finding => finding(id, `${principal} may ${action}`, statement);
    if (isAccount(principal)) {
      return [
        ...(changes ? [found('account-can-change-policy', changes)] : []),
        // Where it may decrypt, too, that is said already
        ...(grants && !may('kms:Decrypt') ? [found('role-can-grant', 'kms:CreateGrant')] : []),
      ];
    }
    const isEnclave = enclaveRoles.has(principal) || principal === '*';
    return [
      ...(changes ? [found(isEnclave ? 'enclave-role-can-change-policy' : 'role-can-change-policy', changes)] : []),
      ...(grants ? [found(isEnclave ? 'enclave-role-can-grant' : 'role-can-grant', 'kms:CreateGrant')] : []),
    ];
  });
}

/** What Deny statements leave of an action: all of it, what any image with some register right may do, or nothing but for one image. */
type Guard = 'none' | 'any-image' | 'full';

function guardOf(statements: readonly Statement[], principal: string, action: string): Guard {
  const denies = statements.filter(
    (statement) =>
      statement.effect === 'Deny' &&
      // Another key's ARN guards nothing here, and which one is ours the policy does not say
      statement.resources?.includes('*') === true &&
      covers(statement, action) &&
      statement.principals.some((denied) => denied === principal || denied === '*'),
  );
  if (denies.some(({ conditions }) => conditions.length === 0)) return 'full';
  // Each of them has to be passed, so that their registers count together
  const registers = denies
    .filter(isAttestationGuard)
    .flatMap(({ conditions: [condition] }) => registerOf(condition) ?? []);
  if (registers.length === 0) return 'none';
  const carriesDocument = (ATTESTING_ACTIONS as readonly string[]).includes(action);
  return !carriesDocument || nameImage(registers.map((number) => `PCR${number}`)) ? 'full' : 'any-image';
}

/** All conditions of a statement have to hold, so that only one on its own denies whoever fails it. */
function isAttestationGuard(statement: Statement): statement is Statement & { conditions: [Condition] } {
  const [condition, ...others] = statement.conditions;
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
