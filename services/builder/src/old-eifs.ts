import { readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type EnclaveRecord, isPresent } from '@enclaver/bus';
import { limits } from './limits.ts';
import { EIF_FOLDER } from './output.ts';

/**
 * Removes what nobody has made or fetched for long. What an enclave runs from stays: a restart reads it again. `records` is asked
 * once there is something to remove; where it fails nothing is removed.
 */
export async function removeOldEifs(dataDir: string, records: () => Promise<EnclaveRecord[]>): Promise<void> {
  const folder = join(dataDir, EIF_FOLDER);
  const old = await oldFiles(folder);
  if (old.length === 0) return;
  const used = (await records()).filter(isPresent);
  // By name alone, which is its content's: the supervisor may see the folder elsewhere
  const names = new Set(used.map(({ eif }) => basename(eif)));
  for (const name of old) if (!names.has(name)) await rm(join(folder, name), { force: true });
}

async function oldFiles(folder: string): Promise<string[]> {
  const oldest = Date.now() - limits.keptEifMs;
  const old: string[] = [];
  for (const name of await unlessGone(readdir(folder), [])) {
    const stats = await unlessGone(stat(join(folder, name)), undefined);
    if (stats !== undefined && stats.mtimeMs < oldest) old.push(name);
  }
  return old;
}

/** The folder comes with the first image, and another build may be removing the same file. */
function unlessGone<T>(found: Promise<T>, otherwise: T): Promise<T> {
  return found.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return otherwise;
    throw error;
  });
}
