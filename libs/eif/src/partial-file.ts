import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file beside `path` under another name and renames it once `write` is done and the bytes are on the disk: `path`
 * holds either what it held before or the whole new file. The file is removed when anything fails.
 *
 * @param mode permission bits, less those of the umask
 */
export async function writeWhole<Result>(
  path: string,
  mode: number,
  write: (file: FileHandle, partial: string) => Promise<Result>,
): Promise<Result> {
  const partial = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`);
  const file = await open(partial, 'wx', mode);
  try {
    let result: Result;
    try {
      result = await write(file, partial);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** One write call may take less than it was given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
