import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DevelopmentRoot } from './development-root.ts';

/** The files of a development root. */
export function rootFiles(folder: string): { key: string; certificate: string } {
  return {
    /** Private key and certificate in PEM, for the owner alone. */
    key: join(folder, 'development-root.pem'),
    /** The certificate in PEM, for verifiers and the KMS emulator. */
    certificate: join(folder, 'development-root.crt'),
  };
}

/**
 * The development root of a folder, made at first use; several processes may ask at once, and get the same one. Throws
 * SimulatorError DEVELOPMENT_ROOT_INVALID, and what the file system throws.
 */
export async function openDevelopmentRoot(folder: string): Promise<DevelopmentRoot> {
  const { key, certificate } = rootFiles(folder);
  const saved = (await readIfThere(key)) ?? (await makeRoot(folder, key));
  const root = DevelopmentRoot.load(saved);
  // Written again when it is gone: it follows from the other file
  if ((await readIfThere(certificate)) !== root.pem) await replace(certificate, root.pem, 0o644);
  return root;
}

async function makeRoot(folder: string, key: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const partial = partialOf(key);
  await writeFile(partial, DevelopmentRoot.create().save(), { mode: 0o600, flag: 'wx' });
  try {
    // Unlike a rename it leaves a file alone that another process has put there meanwhile
    await link(partial, key);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(partial);
  }
  return readFile(key, 'utf8');
}

async function replace(path: string, text: string, mode: number): Promise<void> {
  const partial = partialOf(path);
  await writeFile(partial, text, { mode, flag: 'wx' });
  await rename(partial, path);
}

function partialOf(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
