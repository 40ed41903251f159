import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';

type Data = AsyncIterable<Uint8Array>;

/** Writes a file beside its place and renames it when it is whole. Replaces a regular file only. Throws OUTPUT_INVALID. */
export async function writeWholeFile(path: string, data: Data): Promise<void> {
  const found = await existing(path);
  if (found !== undefined && !found.isFile()) {
    throw new CliError('OUTPUT_INVALID', `${path} is not a regular file`, 'name a new file');
  }
  await place(path, (partial) => writeNew(partial, data));
}

/** Makes a folder with these files; it gets its name when all of them are whole. Throws OUTPUT_INVALID. */
export async function writeWholeFolder(path: string, files: Iterable<[name: string, data: Data]>): Promise<void> {
  if ((await existing(path)) !== undefined) {
    throw new CliError('OUTPUT_INVALID', `${path} exists`, 'name a folder that is not there yet');
  }
  await place(path, async (partial) => {
    await mkdir(partial);
    for (const [name, data] of files) await writeNew(join(partial, name), data);
  });
}

async function existing(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  return await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

async function place(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const partial = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`);
  try {
    await write(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new CliError('OUTPUT_INVALID', `there is no folder ${folder}`, `make it first: mkdir -p ${folder}`, {
      cause: error,
    });
  }
}

async function writeNew(path: string, data: Data): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for await (const piece of data) await file.writeFile(piece);
    await file.datasync();
  } finally {
    await file.close();
  }
}
