import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import { choosePlatform, type Platform, wrongPlatform } from '../platform.ts';
import { type BlobStore, readBlob } from './blob-store.ts';
import type { Image } from './image.ts';
import { decodeJson } from './image-config.ts';
import { type Descriptor, decodeManifest, INDEX_TYPES, indexSchema, openManifest } from './oci-manifest.ts';
import { checkDigest } from './open-image.ts';

const layoutSchema = z.object({ imageLayoutVersion: z.literal('1.0.0') });

interface Candidate {
  manifest: Descriptor;
  /** Of the manifest itself, or of an index on the way to it. */
  names: readonly string[];
}

const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const NAME_ANNOTATIONS = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];

/**
 * The image in an OCI layout (OCI image specification, `image-layout.md`), by `reference` and `platform` where there are
 * several; without `platform`, one for this machine if several are left. Throws IMAGE_NOT_FOUND, IMAGE_INVALID,
 * IMAGE_DIGEST_MISMATCH, IMAGE_ARCH.
 */
export async function openOciLayout(
  store: BlobStore,
  reference: string | undefined,
  platform?: Platform,
): Promise<Image> {
  decodeJson(await readBlob(store, 'oci-layout', limits.smallFileBytes), layoutSchema, `oci-layout of ${store.shown}`);
  const index = decodeJson(
    await readBlob(store, 'index.json', limits.manifestBytes),
    indexSchema,
    `index.json of ${store.shown}`,
  );
  const candidates = await collect(store, index.manifests, [], 0, { entries: 0 });
  const { manifest } = await choose(store, candidates, reference, platform);
  const bytes = await readVerified(store, manifest);
  return openManifest(store, bytes, blobPath, platform);
}

async function collect(
  store: BlobStore,
  descriptors: readonly Descriptor[],
  names: readonly string[],
  depth: number,
  seen: { entries: number },
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const descriptor of descriptors) {
    seen.entries += 1;
    if (seen.entries > limits.indexEntries)
      throw malformed(store, `more than ${limits.indexEntries} images and indexes`);
    const own = NAME_ANNOTATIONS.map((key) => descriptor.annotations?.[key]).filter((name) => name !== undefined);
    const allNames = [...names, ...own];
    if (MANIFEST_TYPES.includes(descriptor.mediaType)) {
      // Build attestations stand in an index beside the images they speak of
      if (descriptor.annotations?.['vnd.docker.reference.type'] === undefined) {
        found.push({ manifest: descriptor, names: allNames });
      }
    } else if (INDEX_TYPES.includes(descriptor.mediaType)) {
      if (depth >= limits.indexDepth) throw malformed(store, `indexes within indexes deeper than ${limits.indexDepth}`);
      const bytes = await readVerified(store, descriptor);
      const nested = decodeJson(bytes, indexSchema, `an index of ${store.shown}`);
      found.push(...(await collect(store, nested.manifests, allNames, depth + 1, seen)));
    }
  }
  return found;
}

async function choose(
  store: BlobStore,
  all: readonly Candidate[],
  reference: string | undefined,
  platform: Platform | undefined,
): Promise<Candidate> {
  const named =
    reference === undefined ? all : all.filter(({ names }) => names.some((name) => matches(name, reference)));
  const shownNames = [...new Set(all.flatMap(({ names }) => names))].join(', ') || 'none with a name';
  if (named.length === 0) {
    throw new BuilderError(
      'IMAGE_NOT_FOUND',
      `${store.shown} holds no image${reference === undefined ? '' : ` named ${reference}`}; there are: ${shownNames}`,
      { remedy: 'name one of them after the path, or none where there is only one' },
    );
  }
  // One after the other: each may cost a configuration's bytes in memory
  const platforms: string[] = [];
  for (const candidate of named) platforms.push(await platformOf(store, candidate));
  const wanted = choosePlatform(platforms, platform);
  const fitting = named.filter((_, index) => platforms[index] === wanted);
  const [only, other] = fitting;
  if (only === undefined) throw wrongPlatform(store.shown, [...new Set(platforms)].join(', '), platform);
  if (other !== undefined && fitting.some(({ manifest }) => manifest.digest !== only.manifest.digest)) {
    throw new BuilderError('IMAGE_INVALID', `${store.shown} holds several images for ${wanted}: ${shownNames}`, {
      remedy: 'name one of them after the path: oci:PATH:NAME',
    });
  }
  return only;
}

async function platformOf(store: BlobStore, { manifest }: Candidate): Promise<string> {
  if (manifest.platform != null) return `${manifest.platform.os}/${manifest.platform.architecture}`;
  const { config } = decodeManifest(await readVerified(store, manifest), store.shown);
  const bytes = await readVerified(store, config);
  // What is stored beside images, such as their signatures, is for no platform
  const named = z.string().default('unknown');
  const { os, architecture } = decodeJson(bytes, z.object({ os: named, architecture: named }), store.shown);
  return `${os}/${architecture}`;
}

/** `1.0` or `app:1.0` of `registry.example.com/app:1.0`. */
function matches(name: string, reference: string): boolean {
  return name === reference || name.endsWith(`:${reference}`) || name.endsWith(`/${reference}`);
}

async function readVerified(store: BlobStore, { digest }: Descriptor): Promise<Buffer> {
  const bytes = await readBlob(store, blobPath(digest), limits.configBytes);
  checkDigest(bytes, digest, `${blobPath(digest)} of ${store.shown}`);
  return bytes;
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function malformed(store: BlobStore, what: string): BuilderError {
  return new BuilderError('IMAGE_INVALID', `${store.shown} holds ${what}`, { remedy: 'export the image again' });
}
