import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import type { Platform } from '../platform.ts';
import type { BlobStore } from './blob-store.ts';
import type { Image } from './image.ts';
import { decodeJson, digestSchema } from './image-config.ts';
import { openParts } from './open-image.ts';

/** What points to a part of an image (OCI image specification, `descriptor.md`). */
export const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: digestSchema,
  size: z.number().int().min(0),
  platform: z.object({ os: z.string(), architecture: z.string() }).nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
  /** Addresses where its bytes are, besides the place of the descriptor. */
  urls: z.array(z.string()).nullish(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

const manifestSchema = z.object({ config: descriptorSchema, layers: z.array(descriptorSchema).max(limits.layers) });

export const INDEX_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
export const indexSchema = z.object({ manifests: z.array(descriptorSchema).max(limits.indexEntries) });

const CONFIG_TYPES: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
const LAYER_TYPES =
  /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)$/;

/** Throws IMAGE_INVALID. */
export function decodeManifest(bytes: Buffer, shown: string): z.infer<typeof manifestSchema> {
  return decodeJson(bytes, manifestSchema, `a manifest of ${shown}`);
}

/**
 * The image that the bytes of an OCI or Docker manifest describe; `pathOf` says where the store keeps a digest's bytes.
 * Throws IMAGE_INVALID, IMAGE_DIGEST_MISMATCH, IMAGE_ARCH.
 */
export async function openManifest(
  store: BlobStore,
  bytes: Buffer,
  pathOf: (digest: string) => string,
  platform: Platform | undefined,
): Promise<Image> {
  const { config, layers } = decodeManifest(bytes, store.shown);
  if (!CONFIG_TYPES.includes(config.mediaType)) throw notAnImage(store, config.mediaType);
  for (const layer of layers) if (!LAYER_TYPES.test(layer.mediaType)) throw notAnImage(store, layer.mediaType);
  return openParts(store, {
    configPath: pathOf(config.digest),
    configDigest: config.digest,
    layers: layers.map((layer) => ({ path: pathOf(layer.digest), digest: layer.digest, size: layer.size })),
    shown: store.shown,
    ...(platform === undefined ? {} : { platform }),
  });
}

function notAnImage(store: BlobStore, mediaType: string): BuilderError {
  return new BuilderError(
    'IMAGE_INVALID',
    `${store.shown} holds a part of type ${mediaType}; that is no container image`,
    { remedy: 'give an unencrypted container image' },
  );
}
