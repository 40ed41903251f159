import { type Cipheriv, createCipheriv, createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TarEntry, tar } from '../../test/images/tar.ts';

/** What an image of the benchmark holds. */
export interface ImagePlan {
  layers: readonly (readonly FileGroup[])[];
}

/** Files of one size. */
export interface FileGroup {
  count: number;
  bytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const LAYERS = 4;
const FILES_IN_FOLDER = 100;

/** Files of about `bytes` in four layers: half of the bytes in large files, two fifths in files of 1 MiB, the rest in 8 KiB. */
export function mixedImage(bytes: number): ImagePlan {
  const perLayer = bytes / LAYERS;
  const large = Math.ceil(perLayer / 2 / (64 * MIB));
  const layer = [
    { count: large, bytes: Math.floor(perLayer / 2 / large) },
    { count: Math.round((perLayer * 0.4) / MIB), bytes: MIB },
    { count: Math.round((perLayer * 0.1) / (8 * KIB)), bytes: 8 * KIB },
  ];
  return { layers: Array.from({ length: LAYERS }, () => layer) };
}

export function smallFilesImage(count: number): ImagePlan {
  return { layers: [[{ count, bytes: KIB }]] };
}

/**
 * Writes an OCI layout with layers that are not compressed. The content is a key stream: it does not compress and is the
 * same at every call. Returns the paths of the layers.
 */
export async function writeImage(folder: string, plan: ImagePlan): Promise<string[]> {
  const blobs = join(folder, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const content = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  const layers: Descriptor[] = [];
  for (const [index, groups] of plan.layers.entries()) {
    const layer = await LayerFile.create(join(folder, 'layer'));
    for (const entry of layerEntries(groups, index, content)) await layer.write(tar([entry], { open: true }));
    await layer.write(tar([]));
    layers.push(await layer.place(blobs, 'application/vnd.oci.image.layer.v1.tar'));
  }
  const config = await writeBlob(blobs, 'application/vnd.oci.image.config.v1+json', {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/0/0/0'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = await writeBlob(blobs, 'application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    config,
    layers,
  });
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return layers.map(({ digest }) => join(blobs, digest.replace('sha256:', '')));
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

function* layerEntries(groups: readonly FileGroup[], layer: number, content: Cipheriv): Generator<TarEntry> {
  yield { name: `${layer}/` };
  for (const [index, { count, bytes }] of groups.entries()) {
    const zeros = Buffer.alloc(bytes);
    for (let file = 0; file < count; file += 1) {
      const folder = `${layer}/${index}${Math.floor(file / FILES_IN_FOLDER)}/`;
      if (file % FILES_IN_FOLDER === 0) yield { name: folder };
      yield { name: `${folder}${file}`, content: content.update(zeros) };
    }
  }
}

/** A layer that is written in pieces, and gets its digest as its name. */
class LayerFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #size = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LayerFile> {
    return new LayerFile(path, await open(path, 'wx'));
  }

  async write(bytes: Buffer): Promise<void> {
    this.#hash.update(bytes);
    this.#size += bytes.length;
    await this.#file.appendFile(bytes);
  }

  async place(folder: string, mediaType: string): Promise<Descriptor> {
    await this.#file.close();
    const hex = this.#hash.digest('hex');
    await rename(this.#path, join(folder, hex));
    return { mediaType, digest: `sha256:${hex}`, size: this.#size };
  }
}

async function writeBlob(folder: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(folder, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}
