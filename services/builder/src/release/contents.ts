import { type FileHandle, open } from 'node:fs/promises';
import { BuilderError } from '../builder-error.ts';
import { readRange } from '../image/blob-store.ts';
import { decompress } from '../image/decompress.ts';
import type { Image } from '../image/image.ts';
import { components } from '../layers/resolve.ts';
import { StreamInput } from '../tar/byte-input.ts';
import { readTar, type TarEntry } from '../tar/tar-read.ts';

/** Called with a file's size before it is written. */
export type Reserve = (bytes: number) => Promise<void>;

/**
 * Copies one file out of a release image to a new file `to`, from the highest layer that has it. No layers are put together:
 * release images have their files in the last one. Throws IMAGE_NO_EIF, IMAGE_TRUNCATED, IMAGE_INVALID.
 */
export async function copyFromImage(image: Image, path: string, to: string, reserve: Reserve): Promise<void> {
  const isIt = ({ type, name }: TarEntry): boolean => type === 'file' && components(name).join('/') === path;
  await using file = await open(to, 'wx', 0o644);
  for (const layer of image.layers.toReversed()) {
    await using blob = await layer.open();
    if (await copyEntry(decompress(readRange(blob)), isIt, file, reserve)) return;
  }
  throw noSuchFile(image.name ?? image.id, path);
}

/** Copies the one file of an archive that an engine made of a path. Throws as `copyFromImage`. */
export async function copyFromArchive(archive: AsyncIterable<Buffer>, to: string, reserve: Reserve): Promise<boolean> {
  await using file = await open(to, 'wx', 0o644);
  return await copyEntry(archive, ({ type }) => type === 'file', file, reserve);
}

export function noSuchFile(image: string, path: string): BuilderError {
  return new BuilderError('IMAGE_NO_EIF', `${image} has no file /${path}: it is no release image`, {
    remedy: 'name the `target` of a manifest that `enclaver build` has built',
  });
}

async function copyEntry(
  archive: AsyncIterable<Buffer>,
  isIt: (entry: TarEntry) => boolean,
  file: FileHandle,
  reserve: Reserve,
): Promise<boolean> {
  const input = new StreamInput(archive);
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
      return true;
    }
    return false;
  } finally {
    await input.close();
  }
}
