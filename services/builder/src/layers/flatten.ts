import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { BuilderError } from '../builder-error.ts';
import { type OpenBlob, readRange } from '../image/blob-store.ts';
import { decompress, isPlain } from '../image/decompress.ts';
import type { Image, Layer } from '../image/image.ts';
import { digestMismatch } from '../image/open-image.ts';
import { readAhead } from '../read-ahead.ts';
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

/** The plain bytes of a layer; a block is valid until the next but one is asked for. Throws IMAGE_DIGEST_MISMATCH. */
async function* verifiedPlain(
  layer: Layer,
  index: number,
  blob: OpenBlob,
  onBytes?: (done: number) => void,
): AsyncGenerator<Buffer> {
  const plain = { digest: layer.diffId, what: `layer ${index}, unpacked,` };
  if (await isPlain(blob)) {
    // Stored and unpacked are the same bytes: one hash is enough
    yield* checked(counted(readAhead(blob), onBytes), [...storedDigest(layer, index), plain]);
  } else {
    yield* checked(decompress(verifiedStored(layer, index, blob, onBytes)), [plain]);
  }
}

function verifiedStored(
  layer: Layer,
  index: number,
  blob: OpenBlob,
  onBytes?: (done: number) => void,
): AsyncIterable<Buffer> {
  return checked(counted(readRange(blob), onBytes), storedDigest(layer, index));
}

/** What a digest is expected to be, and of what, for the message. */
interface Expected {
  digest: string;
  what: string;
}

function storedDigest({ digest }: Layer, index: number): Expected[] {
  return digest === undefined ? [] : [{ digest, what: `layer ${index}` }];
}

async function* counted(source: AsyncIterable<Buffer>, onBytes?: (done: number) => void): AsyncGenerator<Buffer> {
  let done = 0;
  for await (const chunk of source) {
    yield chunk;
    done += chunk.length;
    onBytes?.(done);
  }
}

async function* checked(source: AsyncIterable<Buffer>, expected: readonly Expected[]): AsyncGenerator<Buffer> {
  if (expected.length === 0) return yield* source;
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const found = `sha256:${hash.digest('hex')}`;
  for (const { digest, what } of expected) if (found !== digest) throw digestMismatch(what, found, digest);
}

/** Writes a block while the next one is looked at. */
async function* spooled(source: AsyncIterable<Buffer>, file: FileHandle, work: WorkDir): AsyncGenerator<Buffer> {
  let writing = Promise.resolve();
  try {
    for await (const chunk of source) {
      await work.charge(chunk.length);
      await writing;
      writing = writeAll(file, chunk);
      // Whoever comes next hears of it
      writing.catch(() => undefined);
      yield chunk;
    }
  } finally {
    await writing;
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
}
