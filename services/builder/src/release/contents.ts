import { type FileHandle, open } from 'node:fs/promises';
import { BuilderError } from '../builder-error.ts';
import { readRange } from '../image/blob-store.ts';
import { decompress } from '../image/decompress.ts';
import type { Image, Layer } from '../image/image.ts';
import { components } from '../layers/resolve.ts';
import { StreamInput } from '../tar/byte-input.ts';
import { readTar } from '../tar/tar-read.ts';

/**
 * Copies one file out of a release image to a new file `to`, from the highest layer that has it. No layers are put together:
 * release images have their files in the last one. Throws IMAGE_NO_EIF, IMAGE_TRUNCATED, IMAGE_INVALID.
 * @param reserve called with the file's size before it is written
 */
export async function copyFromImage(
  image: Image,
  path: string,
  to: string,
  reserve: (bytes: number) => Promise<void>,
): Promise<void> {
  await using file = await open(to, 'wx', 0o644);
  for (const layer of image.layers.toReversed()) {
    if (await copyFromLayer(layer, path, file, reserve)) return;
  }
  throw new BuilderError('IMAGE_NO_EIF', `${image.name ?? image.id} has no file /${path}: it is no release image`, {
    remedy: 'name the `target` of a manifest that `enclaver build` has built',
  });
}

async function copyFromLayer(
  layer: Layer,
  path: string,
  file: FileHandle,
  reserve: (bytes: number) => Promise<void>,
): Promise<boolean> {
  await using blob = await layer.open();
  const input = new StreamInput(decompress(readRange(blob)));
  try {
    for await (const entry of readTar(input)) {
      if (entry.type !== 'file' || components(entry.name).join('/') !== path) continue;
      await reserve(entry.size);
      for (let missing = entry.size; missing > 0; ) {
        const chunk = await input.some(missing);
        if (chunk.length === 0) throw new BuilderError('IMAGE_TRUNCATED', `the image ends within /${path}`);
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
