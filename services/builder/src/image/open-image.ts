import { createHash } from 'node:crypto';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import { checkPlatform, type Platform } from '../platform.ts';
import { type BlobStore, incomplete, readBlob } from './blob-store.ts';
import type { Image, Layer } from './image.ts';
import { decodeImageConfig } from './image-config.ts';

/** Where an image's parts are in a store. */
export interface ImageParts {
  configPath: string;
  /** Digest of the configuration, where something names it. */
  configDigest?: string;
  layers: readonly { path: string; digest?: string; size?: number }[];
  /** For messages. */
  shown: string;
  /** The one that is wanted; default: whichever it is. */
  platform?: Platform;
}

/** Reads and checks the configuration. Throws IMAGE_INVALID, IMAGE_DIGEST_MISMATCH, IMAGE_ARCH. The store is the image's then. */
export async function openParts(store: BlobStore, parts: ImageParts): Promise<Image> {
  const configBytes = await readBlob(store, parts.configPath, limits.configBytes);
  const id = checkDigest(configBytes, parts.configDigest, `the configuration of ${parts.shown}`);
  const config = decodeImageConfig(configBytes, parts.shown);
  const platform = checkPlatform(config.os, config.architecture, parts.shown, parts.platform);
  const diffIds = config.rootfs;
  if (diffIds.length !== parts.layers.length || diffIds.length > limits.layers) {
    throw new BuilderError(
      'IMAGE_INVALID',
      `${parts.shown} has ${parts.layers.length} layers and ${diffIds.length} layer digests; both must be equal, and at most ${limits.layers}`,
      { remedy: 'export the image again' },
    );
  }
  const layers = parts.layers.map((layer, index): Layer => {
    const open: Layer['open'] = async () => {
      const blob = await store.open(layer.path);
      if (blob === undefined) throw incomplete(store, layer.path);
      if (layer.size === undefined || blob.size === layer.size) return blob;
      await blob[Symbol.asyncDispose]();
      throw new BuilderError(
        blob.size < layer.size ? 'IMAGE_TRUNCATED' : 'IMAGE_INVALID',
        `${layer.path} of ${parts.shown} has ${blob.size} bytes; its manifest says ${layer.size}`,
        { remedy: 'export or fetch the image again' },
      );
    };
    return { open, diffId: diffIds[index] ?? '', ...(layer.digest === undefined ? {} : { digest: layer.digest }) };
  });
  return { id, config, configBytes, platform, layers, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/** The digest of `bytes`. Throws IMAGE_DIGEST_MISMATCH when another one was named. */
export function checkDigest(bytes: Buffer, expected: string | undefined, what: string): string {
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (expected !== undefined && found !== expected) throw digestMismatch(what, found, expected);
  return found;
}

export function digestMismatch(what: string, found: string, expected: string): BuilderError {
  return new BuilderError('IMAGE_DIGEST_MISMATCH', `${what} has digest ${found}, but the image names ${expected}`, {
    remedy: 'the image was changed or damaged after it was made: fetch or export it again',
  });
}
