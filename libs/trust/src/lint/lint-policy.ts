import { MAX_KEY_POLICY_BYTES } from '../limits.ts';
import { parsePolicy } from '../policy/document.ts';
import type { Pcrs } from '../registers.ts';
import { attestedStatements } from './attested.ts';
import { checkAccess } from './check-access.ts';
import { checkAllowConditions, checkDenyConditions } from './check-conditions.ts';
import { checkImage } from './check-image.ts';
import { type Finding, finding, type Severity } from './findings.ts';

const ORDER: readonly Severity[] = ['error', 'warning', 'note'];

/**
 * Looks for known mistakes in a key policy for enclaves, and, with the measurements of an image, whether it is for that
 * image. It judges this policy alone: what IAM, grants and service control policies allow or deny is not in it. The worst
 * come first, then as the statements stand. Throws POLICY_INVALID, POLICY_TOO_LARGE.
 */
export function lintPolicy(file: string, pcrs?: Pcrs): Finding[] {
  const { text, statements } = parsePolicy(file);
  const size = Buffer.byteLength(text);
  const findings = [
    ...(size > MAX_KEY_POLICY_BYTES ? [finding('policy-too-large', `${size} bytes`)] : []),
    ...(attestedStatements(statements).length === 0
      ? [finding('no-attested-statement', `${statements.length} statements, none that compares a register`)]
      : []),
    ...statements.flatMap((statement) =>
      statement.effect === 'Allow' ? checkAllowConditions(statement) : checkDenyConditions(statement),
    ),
    ...checkAccess(statements),
    ...(pcrs === undefined ? [] : checkImage(statements, pcrs)),
  ];
  return findings.toSorted(
    (a, b) =>
      ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity) || (a.statement?.index ?? -1) - (b.statement?.index ?? -1),
  );
}
