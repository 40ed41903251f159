import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { CliError } from '../cli-error.ts';

/**
 * Refuses a user's stack folder that another user has made, or may change: who does can lead commands to a bus of their own. One in /tmp
 * has a name that can be guessed. Root's is in /run, where root alone makes folders, and may be that of the user of the services.
 * Errors: `STACK_FOLDER_UNSAFE`.
 */
export async function checkStackFolder(path: string): Promise<void> {
  const user = process.getuid?.();
  if (user === undefined || user === 0) return;
  // What is not there, or cannot be reached, leads to no bus
  const found = await lstat(path).catch(() => undefined);
  const problem = found === undefined ? undefined : problemOf(found, user);
  if (problem === undefined) return;
  throw new CliError(
    'STACK_FOLDER_UNSAFE',
    `the stack folder ${path} ${problem}; allowed is a folder of user ${user} that nobody else may write`,
    'have it removed, or set XDG_RUNTIME_DIR to a folder that is yours alone',
  );
}

function problemOf(found: Stats, user: number): string | undefined {
  if (!found.isDirectory()) return 'is no folder';
  if (found.uid !== user) return `belongs to user ${found.uid}`;
  return (found.mode & 0o022) === 0 ? undefined : `has mode ${(found.mode & 0o777).toString(8)}`;
}
