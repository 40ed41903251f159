import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { BuilderError } from '../builder-error.ts';
import { type OpenBlob, readRange } from '../image/blob-store.ts';
import { compressionOf, decompress } from '../image/decompress.ts';
import type { Image, Layer } from '../image/image.ts';
import { digestMismatch } from '../image/open-image.ts';
import { StreamInput } from '../tar/byte-input.ts';
import { readTar } from '../tar/tar-read.ts';
import type { WorkDir } from '../work-dir.ts';
import { FileTree } from './file-tree.ts';

/** Plain tar bytes of a layer in a file of ours: extents count from `base`. */
export interface Spool {
  file: FileHandle;
  base: number;
}

export interface Flattened {
  tree: FileTree;
  /** By layer. Open as long as the work folder and the image are. */
  spools: readonly Spool[];
}

/** Called with the bytes of stored layers read so far, and how many there are. */
export type FlattenProgress = (done: number, total: number) => void;

/**
 * Unpacks an image's layers in order into one tree, in one pass: while a layer streams by, its digests are computed, its
 * plain bytes are spooled, and its headers are applied. No data is kept in memory, and nothing is used from a file that
 * someone else could change after its digest was checked.
 */
export async function flatten(image: Image, work: WorkDir, onProgress?: FlattenProgress): Promise<Flattened> {
  const tree = new FileTree();
  const spools: Spool[] = [];
  const sizes = await storedSizes(image);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let before = 0;
  for (const [index, layer] of image.layers.entries()) {
    const onBytes = (done: number): void => onProgress?.(before + done, total);
    spools.push(await applyLayer(layer, index, tree, work, onBytes));
    before += sizes[index] ?? 0;
  }
  return { tree, spools };
}

async function storedSizes(image: Image): Promise<number[]> {
  const sizes: number[] = [];
  for (const layer of image.layers) {
    await using blob = await layer.open();
    sizes.push(blob.size);
  }
  return sizes;
}

async function applyLayer(
  layer: Layer,
  index: number,
  tree: FileTree,
  work: WorkDir,
  onBytes: (done: number) => void,
): Promise<Spool> {
  await using blob = await layer.open();
  try {
    const inPlace = blob.private && (await isPlain(blob));
    const file = inPlace ? blob.file : await work.newFile(`layer-${index}.tar`);
    const plain = verifiedPlain(layer, index, blob, onBytes);
    const input = new StreamInput(inPlace ? plain : spooled(plain, file, work));
    try {
      for await (const entry of readTar(input)) tree.apply(entry, index);
      await input.drain();
    } finally {
      await input.close();
    }
    return { file, base: inPlace ? blob.offset : 0 };
  } catch (error) {
    // A damaged layer fails in many ways; that it is not the one the image names tells more
    if (error instanceof BuilderError && DAMAGE_CODES.includes(error.code))
      await verify(layer, index, blob, work, error);
    throw error;
  }
}

const DAMAGE_CODES: readonly string[] = ['IMAGE_INVALID', 'IMAGE_TRUNCATED'];

/** Reads a layer for its digests alone; throws IMAGE_DIGEST_MISMATCH where they differ. */
async function verify(layer: Layer, index: number, blob: OpenBlob, work: WorkDir, damage: BuilderError): Promise<void> {
  const bytes = layer.digest === undefined ? verifiedPlain(layer, index, blob) : verifiedStored(layer, index, blob);
  try {
    // Charged although nothing is written: a damaged layer may be a bomb as well
    for await (const chunk of bytes) await work.charge(chunk.length);
  } catch (error) {
    const mismatch = error instanceof BuilderError && error.code === 'IMAGE_DIGEST_MISMATCH';
    if (!mismatch) throw damage;
    throw new BuilderError(error.code, `${error.message} (${damage.message})`, {
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: damage,
    });
  }
}

async function* verifiedPlain(
  layer: Layer,
  index: number,
  blob: OpenBlob,
  onBytes?: (done: number) => void,
): AsyncGenerator<Buffer> {
  yield* checked(decompress(verifiedStored(layer, index, blob, onBytes)), layer.diffId, `layer ${index}, unpacked,`);
}

async function* verifiedStored(
  layer: Layer,
  index: number,
  blob: OpenBlob,
  onBytes?: (done: number) => void,
): AsyncGenerator<Buffer> {
  const counted = (async function* () {
    let done = 0;
    for await (const chunk of readRange(blob)) {
      yield chunk;
      done += chunk.length;
      onBytes?.(done);
    }
  })();
  yield* layer.digest === undefined ? counted : checked(counted, layer.digest, `layer ${index}`);
}

async function* checked(source: AsyncIterable<Buffer>, expected: string, what: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== expected) throw digestMismatch(what, found, expected);
}

async function* spooled(source: AsyncIterable<Buffer>, file: FileHandle, work: WorkDir): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    await work.charge(chunk.length);
    for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
    yield chunk;
  }
}

async function isPlain(blob: OpenBlob): Promise<boolean> {
  const first = Buffer.alloc(Math.min(4, blob.size));
  await blob.file.read(first, 0, first.length, blob.offset);
  return compressionOf(first) === 'none';
}
