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
      ...checkControl(statement, enclaveRoles),
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

function checkControl(statement: Statement, enclaveRoles: ReadonlySet<string>): Finding[] {
  const changes = covers(statement, 'kms:PutKeyPolicy');
  const grants = covers(statement, 'kms:CreateGrant');
  return statement.principals.flatMap((principal) => {
    if (isAccount(principal)) {
      return [
        ...(changes ? [finding('account-can-change-policy', `${principal} may kms:PutKeyPolicy`, statement)] : []),
        // Where it may decrypt, too, that is said already
        ...(grants && !covers(statement, 'kms:Decrypt')
          ? [finding('role-can-grant', `${principal} may kms:CreateGrant`, statement)]
          : []),
      ];
    }
    const isEnclave = enclaveRoles.has(principal) || principal === '*';
    return [
      ...(changes
        ? [
            finding(
              isEnclave ? 'enclave-role-can-change-policy' : 'role-can-change-policy',
              `${principal} may kms:PutKeyPolicy`,
              statement,
            ),
          ]
        : []),
      ...(grants
        ? [
            finding(
              isEnclave ? 'enclave-role-can-grant' : 'role-can-grant',
              `${principal} may kms:CreateGrant`,
              statement,
            ),
          ]
        : []),
    ];
  });
}

/** Whether a Deny statement refuses this to everybody whose document has not the right value of some register. */
function isGuarded(statements: readonly Statement[], principal: string, action: string): boolean {
  return statements.some(
    (statement) =>
      statement.effect === 'Deny' &&
      covers(statement, action) &&
      statement.principals.some((pattern) => pattern === principal || pattern === '*') &&
      statement.conditions.length === 1 &&
      statement.conditions.every(
        (condition) =>
          isAttestation(condition) &&
          registerOf(condition) !== undefined &&
          condition.set === undefined &&
          effectOf(condition) === 'negates' &&
          condition.values.every((value) => isMeasurement(value) && !isZero(value)),
      ),
  );
}

function isOpen({ principals }: Statement): boolean {
  return principals.includes('*');
}

/** An account as principal: its number, or its root user's ARN. Both mean the account and whom its IAM policies let. */
function isAccount(principal: string): boolean {
  return /^(?:\d{12}|arn:[\w-]+:iam::\d{12}:root)$/.test(principal);
}
