import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BuilderError } from './builder-error.ts';
import { readFileAhead } from './read-ahead.ts';

/** In the data folder: images under the names of their contents. */
export const EIF_FOLDER = 'eif';

/** A file that is written beside its place and gets its name when it is whole. What is not placed is removed. */
export class PendingFile implements AsyncDisposable {
  readonly path: string;
  readonly #nameOf: (sha256: string) => string;
  #placed = false;

  private constructor(path: string, nameOf: (sha256: string) => string) {
    this.path = path;
    this.#nameOf = nameOf;
  }

  /** For exactly `target`. Throws OUTPUT_INVALID when its folder is not there or it is a folder itself. */
  static async at(target: string): Promise<PendingFile> {
    const folder = dirname(target);
    const stats = await stat(folder).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause;
      throw new BuilderError('OUTPUT_INVALID', `the folder ${folder} for the EIF does not exist`, {
        remedy: `make it first: mkdir -p ${folder}`,
        cause,
      });
    });
    const isFolder = await stat(target).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!stats.isDirectory() || isFolder) {
      throw new BuilderError('OUTPUT_INVALID', `${stats.isDirectory() ? target : folder} is no place for the EIF`, {
        remedy: 'name a file in a folder that exists',
      });
    }
    return new PendingFile(join(folder, temporaryName(basename(target))), () => target);
  }

  /** For `<dataDir>/eif/<sha256>.eif`. */
  static async inStore(dataDir: string): Promise<PendingFile> {
    const folder = join(dataDir, EIF_FOLDER);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new PendingFile(join(folder, temporaryName('new')), (sha256) => join(folder, `${sha256}.eif`));
  }

  /** Gives the file its name, which may come from its own bytes. */
  async place(sha256: string): Promise<string> {
    const target = this.#nameOf(sha256);
    await rename(this.path, target);
    this.#placed = true;
    return target;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#placed) await rm(this.path, { force: true });
  }
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readFileAhead(path)) hash.update(chunk);
  return hash.digest('hex');
}

function temporaryName(name: string): string {
  return `.${name}.${randomBytes(6).toString('hex')}.part`;
}
