import { type KmsStatement, mergePolicy } from '@enclaver/trust';
import { writeJson } from '../../output/format.ts';
import { unifiedDiff } from '../../output/unified-diff.ts';
import { readPolicy, writePolicy } from './policy-file.ts';

/** Prints a statement; or, with `merge`, what it makes of a policy: the difference on stderr, the policy on stdout or in its file. */
export async function printKms(statement: KmsStatement, merge: string | undefined, write: boolean): Promise<void> {
  if (merge === undefined) {
    writeJson(statement);
    return;
  }
  const file = await readPolicy(merge);
  const { before, after } = mergePolicy(file, statement);
  process.stderr.write(
    before === after ? `${merge} has the statement already\n` : unifiedDiff(before, after, merge, `${merge} (merged)`),
  );
  if (!write) process.stdout.write(after.endsWith('\n') ? after : `${after}\n`);
  else if (file !== after) await writePolicy(merge, after);
}
