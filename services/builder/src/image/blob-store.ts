import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { BuilderError } from '../builder-error.ts';
import { checkLength, components } from '../layers/resolve.ts';
import { limits } from '../limits.ts';
import { FileInput } from '../tar/byte-input.ts';
import { readTar, type TarEntry } from '../tar/tar-read.ts';

/** A range of an open file. */
export interface Blob {
  file: FileHandle;
  offset: number;
  size: number;
  /** Only this process can change the file: it is in a build's work folder. */
  private: boolean;
}

export type OpenBlob = Blob & AsyncDisposable;

/** The files of an image: a folder, or an archive with the same names in it. */
export interface BlobStore extends AsyncDisposable {
  /** For messages. */
  readonly shown: string;
  /** Undefined when there is no such file. */
  open(path: string): Promise<OpenBlob | undefined>;
}

/**
 * A folder whose files may be symlinks, as some build tools make them: what has a digest must have its bytes wherever they
 * are, and of a file that has none no message tells the content. Throws IMAGE_NOT_FOUND.
 */
export async function folderStore(folder: string): Promise<BlobStore> {
  // Says "not found" for the folder itself and not for one file in it
  await ((await openOrUndefined(folder)) ?? missing(folder)).close();
  return {
    shown: folder,
    async open(path) {
      const file = await openOrUndefined(join(folder, path));
      if (file === undefined) return undefined;
      const size = await fileSize(file, join(folder, path));
      return { file, offset: 0, size, private: false, [Symbol.asyncDispose]: () => file.close() };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** An archive read from its file. Throws IMAGE_NOT_FOUND, IMAGE_INVALID, IMAGE_TRUNCATED. */
export async function archiveStore(path: string, options: { private: boolean }): Promise<BlobStore> {
  const file = (await openOrUndefined(path)) ?? missing(path);
  const size = await fileSize(file, path);
  try {
    const members = await indexArchive(file, size, path);
    return {
      shown: path,
      async open(name) {
        const member = findMember(members, name);
        if (member === undefined) return undefined;
        const range = { offset: member.offset, size: member.size };
        return { file, ...range, private: options.private, [Symbol.asyncDispose]: async () => undefined };
      },
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens something that keeps the store, and closes the store when that fails. */
export async function openOrClose<T>(store: BlobStore, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

/** The bytes of a small file of an image. Throws IMAGE_INVALID when it is missing or larger than `max`. */
export async function readBlob(store: BlobStore, path: string, max: number): Promise<Buffer> {
  await using blob = await store.open(path);
  if (blob === undefined) throw incomplete(store, path);
  if (blob.size > max) {
    throw new BuilderError('IMAGE_INVALID', `${path} of ${store.shown} has ${blob.size} bytes; at most ${max} may be`, {
      remedy: 'export the image again',
    });
  }
  const input = new FileInput(blob.file, blob.offset + blob.size);
  await input.skip(blob.offset);
  return input.take(blob.size);
}

export function incomplete(store: BlobStore, path: string): BuilderError {
  return new BuilderError('IMAGE_INVALID', `${store.shown} has no ${path}`, {
    remedy: 'the image is incomplete or of another kind: export it again, or correct the word before its path',
  });
}

/** The bytes of a range, in blocks that stay valid. Throws IMAGE_TRUNCATED when the file is shorter. */
export async function* readRange(blob: Pick<Blob, 'file' | 'offset' | 'size'>): AsyncGenerator<Buffer> {
  for (let done = 0; done < blob.size; ) {
    const length = Math.min(limits.readBytes, blob.size - done);
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await blob.file.read(buffer, 0, length, blob.offset + done);
    if (bytesRead === 0) throw endsEarly(blob.size - done);
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

export function endsEarly(missing: number): BuilderError {
  return new BuilderError('IMAGE_TRUNCATED', `a file of the image ends ${missing} bytes early`, {
    remedy: 'do not change the image while it is built',
  });
}

async function indexArchive(file: FileHandle, size: number, path: string): Promise<Map<string, TarEntry>> {
  const members = new Map<string, TarEntry>();
  try {
    for await (const entry of readTar(new FileInput(file, size))) {
      checkLength(entry.name.length);
      members.set(components(entry.name).join('/'), entry);
      if (members.size > limits.archiveEntries) {
        throw new BuilderError('IMAGE_INVALID', `${path} has more than ${limits.archiveEntries} members`);
      }
    }
  } catch (error) {
    if (!(error instanceof BuilderError)) throw error;
    throw new BuilderError(error.code, `${path}: ${error.message}`, {
      remedy: 'the archive must be a plain tar as docker save and skopeo write it: export it again',
      cause: error,
    });
  }
  return members;
}

/** `docker save` writes a layer that comes twice as a link to its first place. */
function findMember(members: ReadonlyMap<string, TarEntry>, name: string): TarEntry | undefined {
  let path = name;
  for (let hops = 0; hops <= limits.symlinkHops; hops += 1) {
    const member = members.get(Buffer.from(path, 'utf8').toString('latin1'));
    if (member === undefined || member.type === 'file') return member;
    if (member.type !== 'symlink' && member.type !== 'hard-link') return undefined;
    const target = Buffer.from(member.linkName, 'latin1').toString('utf8');
    path = join('/', member.type === 'symlink' ? join(path, '..', target) : target).slice(1);
  }
  return undefined;
}

/** Without waiting: to open a pipe for reading lasts until someone writes. */
async function openOrUndefined(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new BuilderError('IMAGE_INVALID', `${path} of the image cannot be opened: ${code}`, {
      remedy: 'look at the rights and links of the file, or export the image again',
      cause,
    });
  }
}

/** Closes what is no file, since it may never end. Throws IMAGE_INVALID. */
async function fileSize(file: FileHandle, path: string): Promise<number> {
  const stats = await file.stat();
  if (stats.isFile()) return stats.size;
  await file.close();
  throw new BuilderError('IMAGE_INVALID', `${path} is no file`, {
    remedy: stats.isDirectory() ? 'name a folder in OCI layout as oci:PATH' : 'export the image again',
  });
}

function missing(path: string): never {
  throw new BuilderError('IMAGE_NOT_FOUND', `there is no image at ${path}`, {
    remedy: 'paths in a manifest start from its own folder; make the image first if it is built by a script',
  });
}
