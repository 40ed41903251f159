import { type Finding, lintPolicy, type Severity } from '@enclaver/trust';
import type { Command } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { measureTarget } from '../../measure.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../../output/format.ts';
import { runTargetOf } from '../../run-target.ts';
import { readPolicy } from './policy-file.ts';

export function addLint(group: Command): void {
  const command = group
    .command('lint')
    .summary('find the known mistakes in a KMS key policy')
    .description(
      'Looks for known mistakes in a KMS key policy for enclaves. The file holds the policy, or what\n' +
        '`aws kms get-key-policy` prints. With an image or EIF: whether the policy is for it.\n' +
        `Exit code: 0 nothing but notes; ${exitCodes.failure} warnings or errors, or the policy cannot be read.`,
    )
    .argument('<policy.json>', 'key policy')
    .argument('[image]', 'release image, or path of an EIF');
  addOutputOption(command, 'text', 'json').action(lint);
}

async function lint(file: string, image: string | undefined, options: { output: OutputFormat }): Promise<void> {
  const policy = await readPolicy(file);
  // A policy that cannot be read is said before a stack is started for the image
  lintPolicy(policy);
  const pcrs = image === undefined ? undefined : await measureTarget(await runTargetOf(image, undefined));
  const findings = lintPolicy(policy, pcrs);
  const count = (severity: Severity): number => findings.filter((each) => each.severity === severity).length;
  const counts = { errors: count('error'), warnings: count('warning'), notes: count('note') };
  if (options.output === 'json') writeJson({ findings, ...counts });
  else process.stdout.write(`${findings.map(describe).join('')}${summary(counts)}\n`);
  if (counts.errors + counts.warnings > 0) process.exitCode = exitCodes.failure;
}

function describe({ id, severity, statement, found, why, remedy }: Finding): string {
  const name = statement?.sid === undefined ? '' : ` (${JSON.stringify(statement.sid)})`;
  const where = statement === undefined ? '' : `statement ${statement.index + 1}${name}: `;
  return `${severity}[${id}] ${where}${found}\n   why: ${why}\n  help: ${remedy}\n`;
}

function summary({ errors, warnings, notes }: { errors: number; warnings: number; notes: number }): string {
  const counted = (number: number, name: string): string => `${number} ${name}${number === 1 ? '' : 's'}`;
  return `${counted(errors, 'error')}, ${counted(warnings, 'warning')}, ${counted(notes, 'note')}`;
}
