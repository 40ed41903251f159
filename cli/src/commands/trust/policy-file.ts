import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { MAX_POLICY_FILE_BYTES } from '@enclaver/trust';
import { readBounded } from '../../bounded-file.ts';
import { CliError } from '../../cli-error.ts';

/** Errors: `POLICY_UNREADABLE`. */
export async function readPolicy(path: string): Promise<string> {
  try {
    return (await readBounded(path, MAX_POLICY_FILE_BYTES)).toString('utf8');
  } catch (cause) {
    throw unusable(path, 'read', cause);
  }
}

/** Replaces a policy as a whole or not at all: written beside it, flushed, renamed. Keeps its mode. Errors: `POLICY_UNREADABLE`. */
export async function writePolicy(path: string, text: string): Promise<void> {
  let temporary: string | undefined;
  try {
    // A link stays one: what it leads to is replaced
    const target = await realpath(path);
    temporary = `${target}.${process.pid}.tmp`;
    await using file = await open(temporary, 'wx', (await stat(target)).mode & 0o777);
    await file.writeFile(text);
    await file.sync();
    await rename(temporary, target);
  } catch (cause) {
    if (temporary !== undefined) await rm(temporary, { force: true });
    throw unusable(path, 'written', cause);
  }
}

function unusable(path: string, what: string, cause: unknown): CliError {
  return new CliError(
    'POLICY_UNREADABLE',
    `the policy ${path} cannot be ${what}: ${(cause as Error).message}`,
    'check its path and rights',
    { cause },
  );
}
