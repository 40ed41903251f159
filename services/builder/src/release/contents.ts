import { type FileHandle, open } from 'node:fs/promises';
import { BuilderError } from '../builder-error.ts';
import { readRange } from '../image/blob-store.ts';
import { decompress } from '../image/decompress.ts';
import type { Image } from '../image/image.ts';
import { components } from '../layers/resolve.ts';
import { StreamInput } from '../tar/byte-input.ts';
import { readTar, showName, type TarEntry } from '../tar/tar-read.ts';
import type { WorkDir } from '../work-dir.ts';
import { isRival } from './rival.ts';

export interface CopyOptions {
  /** Called with a file's size before it is written. */
  reserve: (bytes: number) => Promise<void>;
  signal?: AbortSignal;
}

/**
 * Copies one file out of a release image to a new file `to`, from the highest layer that has it. No layers are put together:
 * release images have their files in the last one. Where an engine that does could come to another file, the image is refused:
 * what is measured here is what runs. Throws IMAGE_NO_EIF, IMAGE_TRUNCATED, IMAGE_INVALID, the errors of `work.charge`, and the
 * signal's reason.
 */
export async function copyFromImage(
  image: Image,
  path: string,
  to: string,
  { work, ...options }: CopyOptions & { work: WorkDir },
): Promise<void> {
  const shown = image.name ?? image.id;
  const folder = path.slice(0, path.lastIndexOf('/'));
  await using file = await open(to, 'wx', 0o644);
  let rival: string | undefined;
  for (const layer of image.layers.toReversed()) {
    await using blob = await layer.open();
    let hasFolder = false;
    let found = false;
    const isIt = (entry: TarEntry): boolean => {
      const name = components(entry.name).join('/');
      if (name === path && entry.type === 'file' && !found) {
        // A symlink of a layer below would be in its place
        if (!hasFolder) rival ??= `no entry for the folder /${folder} before it`;
        found = true;
        return true;
      }
      if (isRival(entry, path)) rival ??= `${showName(entry.name)} (${entry.type}) beside or above it`;
      hasFolder ||= name === folder && entry.type === 'directory';
      return false;
    };
    await copyEntry(charged(decompress(readRange(blob)), work), isIt, file, options);
    if (found && rival !== undefined) throw disputed(shown, path, rival);
    if (found) return;
  }
  throw noSuchFile(shown, path);
}

function disputed(shown: string, path: string, rival: string): BuilderError {
  return new BuilderError('IMAGE_INVALID', `${shown} has /${path}, and ${rival}: engines may come to another file`, {
    remedy: 'build the release image again and put nothing over its files; do not trust one that others made so',
  });
}

/** Copies the one file of an archive that an engine made of a path. Throws as `copyFromImage`. */
export async function copyFromArchive(
  archive: AsyncIterable<Buffer>,
  to: string,
  options: CopyOptions,
): Promise<boolean> {
  await using file = await open(to, 'wx', 0o644);
  return await copyEntry(archive, ({ type }) => type === 'file', file, options);
}

export function noSuchFile(image: string, path: string): BuilderError {
  return new BuilderError('IMAGE_NO_EIF', `${image} has no file /${path}: it is no release image`, {
    remedy: 'name the `target` of a manifest that `enclaver build` has built',
  });
}

/** Charged although nothing of it is written: a layer may be a bomb. */
async function* charged(bytes: AsyncIterable<Buffer>, work: WorkDir): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    await work.charge(chunk.length);
    yield chunk;
  }
}

async function* untilAborted(bytes: AsyncIterable<Buffer>, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    yield chunk;
  }
}

/** Reads the archive to its end. */
async function copyEntry(
  archive: AsyncIterable<Buffer>,
  isIt: (entry: TarEntry) => boolean,
  file: FileHandle,
  { reserve, signal }: CopyOptions,
): Promise<boolean> {
  const input = new StreamInput(untilAborted(archive, signal));
  let found = false;
  try {
    for await (const entry of readTar(input)) {
      if (!isIt(entry)) continue;
      await reserve(entry.size);
      for (let missing = entry.size; missing > 0; ) {
        const chunk = await input.some(missing);
        if (chunk.length === 0) throw new BuilderError('IMAGE_TRUNCATED', 'the image ends within its EIF');
        for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
        missing -= chunk.length;
      }
      found = true;
    }
    return found;
  } finally {
    await input.close();
  }
}
