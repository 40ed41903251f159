import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, mkdtemp, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { BuilderError } from './builder-error.ts';
import { limits, serviceLimits } from './limits.ts';

/** A folder for one build's large files, in the data folder and not in `/tmp`, which may be memory. Gone with its scope. */
export class WorkDir implements AsyncDisposable {
  readonly path: string;
  readonly #files: FileHandle[] = [];
  #written = 0;
  #checkAt = 0;
  #names = 0;

  readonly #most: number;

  private constructor(path: string, most: number) {
    this.path = path;
    this.#most = most;
  }

  /** @param most bytes that may be written in all */
  static async create(dataDir: string, most: number = limits.unpackedBytes): Promise<WorkDir> {
    const path = join(workRoot(dataDir), randomBytes(8).toString('hex'));
    await mkdir(path, { recursive: true, mode: 0o700 });
    return new WorkDir(path, most);
  }

  /** A name that nothing in here has had yet. */
  newName(prefix: string, suffix: string): string {
    this.#names += 1;
    return `${prefix}-${this.#names}${suffix}`;
  }

  /** A new file for writing and reading, closed with the folder. */
  async newFile(name: string): Promise<FileHandle> {
    const file = await open(join(this.path, name), 'wx+', 0o600);
    this.#files.push(file);
    return file;
  }

  /** A new folder, removed with this one. */
  newFolder(name: string): Promise<string> {
    return mkdtemp(join(this.path, `${name}-`));
  }

  /** To be called before `bytes` are written. Throws IMAGE_TOO_LARGE, DISK_FULL. */
  async charge(bytes: number): Promise<void> {
    this.#written += bytes;
    if (this.#written > this.#most) {
      throw new BuilderError(
        'IMAGE_TOO_LARGE',
        `the image has more than ${this.#most} bytes unpacked; an enclave could not hold it in memory`,
        { remedy: 'make the image smaller; if it should be small, do not trust it' },
      );
    }
    if (this.#written < this.#checkAt) return;
    this.#checkAt = this.#written + limits.diskCheckBytes;
    await checkSpace(this.path, bytes + limits.diskCheckBytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file.close();
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Throws DISK_FULL when writing `bytes` to the disk of `folder` would not leave the reserve. */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < bytes + limits.diskReserveBytes) {
    throw new BuilderError(
      'DISK_FULL',
      `${folder} has ${free} bytes free; ${bytes} are needed now and ${limits.diskReserveBytes} must stay free`,
      {
        remedy:
          'free space there, or name a folder on a larger disk: ENCLAVER_DATA_DIR for a stack, TMPDIR for a command that has none',
      },
    );
  }
}

/** Removes work folders that a killed builder left behind. Others may work in the same data folder: theirs go as they end. */
export async function removeStaleWork(dataDir: string, now = Date.now()): Promise<void> {
  const root = workRoot(dataDir);
  await mkdir(root, { recursive: true, mode: 0o700 });
  for (const name of await readdir(root)) {
    const path = join(root, name);
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    const age = now - (found?.mtimeMs ?? now);
    if (age > serviceLimits.staleWorkMs) await rm(path, { recursive: true, force: true });
  }
}

function workRoot(dataDir: string): string {
  return join(dataDir, 'work');
}
