import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import type { Platform } from '../platform.ts';
import { type BlobStore, readBlob } from './blob-store.ts';
import type { Image } from './image.ts';
import { decodeJson } from './image-config.ts';
import { openParts } from './open-image.ts';

const manifestSchema = z.array(
  z.object({
    Config: z.string().min(1),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()).max(limits.layers),
  }),
);

/**
 * The one image in an archive of `docker save` or `podman save`. Only `manifest.json` says where its parts are: their
 * names changed with every engine generation. Throws IMAGE_INVALID, IMAGE_DIGEST_MISMATCH, IMAGE_ARCH.
 */
export async function openDockerArchive(store: BlobStore, platform?: Platform): Promise<Image> {
  const bytes = await readBlob(store, 'manifest.json', limits.manifestBytes);
  const images = decodeJson(bytes, manifestSchema, `manifest.json of ${store.shown}`);
  const [image, other] = images;
  if (image === undefined || other !== undefined) {
    const names = images.flatMap(({ RepoTags }) => RepoTags ?? []).join(', ');
    throw new BuilderError(
      'IMAGE_INVALID',
      `${store.shown} holds ${images.length} images (${names}); one must be there`,
      {
        remedy: 'save one image alone: docker save -o FILE IMAGE',
      },
    );
  }
  // The configuration's file is named by its digest in every form of the archive
  const hex = /(?:^|[/:])([0-9a-f]{64})(?:\.json)?$/.exec(image.Config)?.[1];
  return openParts(store, {
    configPath: image.Config,
    ...(hex === undefined ? {} : { configDigest: `sha256:${hex}` }),
    layers: image.Layers.map((path) => {
      const digest = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
      return { path, ...(digest === undefined ? {} : { digest: `sha256:${digest}` }) };
    }),
    shown: store.shown,
    ...(platform === undefined ? {} : { platform }),
  });
}
