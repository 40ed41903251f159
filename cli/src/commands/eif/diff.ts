import { diffEif, formatDiff } from '@enclaver/eif';
import type { Command } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { formatFailure } from '../../output/failure.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../../output/format.ts';
import { writeStdout } from '../../output/stdout.ts';
import { checkExists } from './on-eif.ts';

export function addDiff(group: Command): void {
  const command = group
    .command('diff')
    .summary('compare two EIFs')
    .description(
      'Compares header, sections and files of two EIFs, and says which measurements differ.\n' +
        'Exit code: 0 the files are the same, 1 they differ, 2 they could not be compared.',
    )
    .argument('<a>', 'path of an EIF')
    .argument('<b>', 'path of the other one');
  addOutputOption(command, 'text', 'json').action(diff);
}

async function diff(a: string, b: string, options: { output: OutputFormat }): Promise<void> {
  try {
    for (const path of [a, b]) await checkExists(path);
    const found = await diffEif(a, b);
    if (options.output === 'json') writeJson(found);
    else
      await writeStdout(
        formatDiff(found)
          .map((line) => `${line}\n`)
          .join(''),
      );
    process.exitCode = found.equal ? 0 : exitCodes.different;
  } catch (error) {
    process.stderr.write(formatFailure(error));
    process.exitCode = exitCodes.trouble;
  }
}
