import { inspectEif } from '@enclaver/eif';
import type { Command } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { formatFailure } from '../../output/failure.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../../output/format.ts';
import { inspectionJson, inspectionText } from '../../output/inspection.ts';
import { writeStdout } from '../../output/stdout.ts';
import { onEif } from './on-eif.ts';

export function addInspect(group: Command): void {
  const command = group
    .command('inspect')
    .summary('show what an EIF is and measures')
    .description(
      'Shows header, sections, measurements, metadata and signature of an EIF, also of one that is damaged.\n' +
        'JSON has the keys of `nitro-cli describe-eif`, and more. A signature that does not verify or whose certificate\n' +
        'has expired is reported; a wrong checksum or unreadable metadata, too, and ends the command with exit code 1.',
    )
    .argument('<eif>', 'path of the EIF');
  addOutputOption(command, 'text', 'json').action(inspect);
}

async function inspect(path: string, { output }: { output: OutputFormat }): Promise<void> {
  const found = await onEif(path, inspectEif);
  if (output === 'json') writeJson(inspectionJson(found));
  else await writeStdout(inspectionText(path, found));
  for (const problem of found.problems) process.stderr.write(formatFailure(problem));
  if (found.problems.length > 0) process.exitCode = exitCodes.failure;
}
