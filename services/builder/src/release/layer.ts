import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { readRange } from '../image/blob-store.ts';
import { decompress, isPlain } from '../image/decompress.ts';
import type { Image, Layer } from '../image/image.ts';
import { digestMismatch } from '../image/open-image.ts';
import { type TarMember, writeTar } from '../tar/tar-write.ts';
import type { WorkDir } from '../work-dir.ts';

/**
 * A layer as release images keep it: not compressed. What a compressor makes depends on its version and on the processor,
 * so the digest would, too (docs/decisions/0006-release-image.md).
 */
export interface PlainLayer {
  /** Of the bytes, which makes it the layer's diff ID as well. */
  digest: string;
  size: number;
  /** The file that holds exactly these bytes, where there is one. */
  path?: string;
  read(): AsyncIterable<Buffer>;
}

export const EIF_IN_IMAGE = 'enclave/application.eif';
export const MANIFEST_IN_IMAGE = 'enclave/enclaver.yaml';

/** The layers of a base image. Throws IMAGE_DIGEST_MISMATCH, IMAGE_INVALID, IMAGE_TRUNCATED. */
export async function baseLayers(image: Image, work: WorkDir): Promise<PlainLayer[]> {
  const layers: PlainLayer[] = [];
  for (const layer of image.layers) layers.push(await plainLayer(layer, work));
  return layers;
}

async function plainLayer(layer: Layer, work: WorkDir): Promise<PlainLayer> {
  await using blob = await layer.open();
  if (await isPlain(blob)) {
    return { digest: layer.diffId, size: blob.size, read: () => readLayer(layer) };
  }
  const written = await writeLayer(decompress(readRange(blob)), work);
  if (written.digest !== layer.diffId) throw digestMismatch('a layer, unpacked,', written.digest, layer.diffId);
  return written;
}

async function* readLayer(layer: Layer): AsyncGenerator<Buffer> {
  await using blob = await layer.open();
  yield* readRange(blob);
}

/** The layer that makes an image a release image: the EIF and its manifest. */
export async function enclaveLayer(
  eif: { path: string; size: number },
  manifest: Buffer,
  work: WorkDir,
): Promise<PlainLayer> {
  await using file = await open(eif.path, 'r');
  const members: TarMember[] = [
    { name: 'enclave/', mode: 0o755 },
    { name: EIF_IN_IMAGE, mode: 0o644, size: eif.size, data: readRange({ file, offset: 0, size: eif.size }) },
    { name: MANIFEST_IN_IMAGE, mode: 0o644, size: manifest.length, data: manifest },
  ];
  return await writeLayer(writeTar(members), work);
}

async function writeLayer(bytes: AsyncIterable<Buffer>, work: WorkDir): Promise<PlainLayer> {
  const name = work.newName('layer', '.tar');
  const file = await work.newFile(name);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    await work.charge(chunk.length);
    hash.update(chunk);
    for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
    size += chunk.length;
  }
  const digest = `sha256:${hash.digest('hex')}`;
  return { digest, size, path: join(work.path, name), read: () => readRange({ file, offset: 0, size }) };
}
