import { AttestationError } from '@enclaver/attestation';
import { exitCodes } from '../../exit-codes.ts';
import { attestationJson, attestationText, type Verdict } from '../../output/attestation.ts';
import { formatFailure } from '../../output/failure.ts';
import { type OutputFormat, writeJson } from '../../output/format.ts';

/** Prints a verdict, with a code for every check that failed, and sets the exit code. */
export function tell(verdict: Verdict, output: OutputFormat): void {
  if (output === 'json') writeJson(attestationJson(verdict));
  else process.stdout.write(attestationText(verdict));
  for (const { code, message } of verdict.failures) {
    process.stderr.write(formatFailure(new AttestationError(code, message)));
  }
  if (verdict.failures.length > 0) process.exitCode = exitCodes.failure;
}
