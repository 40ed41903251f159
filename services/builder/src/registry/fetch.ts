import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BuilderError } from '../builder-error.ts';
import { folderStore, openOrClose } from '../image/blob-store.ts';
import type { Image } from '../image/image.ts';
import { openManifest } from '../image/oci-manifest.ts';
import { limits } from '../limits.ts';
import type { Platform } from '../platform.ts';
import type { WorkDir } from '../work-dir.ts';
import { fetchError, resolveImage } from './resolve.ts';
import { registryOf, skopeo, tlsFlag } from './skopeo.ts';

export interface FetchOptions {
  platform?: Platform;
  work: WorkDir;
  signal?: AbortSignal;
  onProgress?: (progress: { stage: 'pull'; text: string; done?: number; total?: number }) => void;
}

/**
 * Fetches an image from its registry into the work folder, the stored bytes as the registry has them. Of an image for
 * several platforms, the one asked for or this machine's. Throws as `resolveImage`, IMAGE_TOO_LARGE, DISK_FULL, and the
 * errors of reading an image.
 */
export async function fetchImage(reference: string, options: FetchOptions): Promise<Image> {
  const { work, platform, signal, onProgress } = options;
  onProgress?.({ stage: 'pull', text: reference });
  const abort = signal === undefined ? {} : { signal };
  const { pinned, manifest, bytes } = await resolveImage(reference, platform, { work, ...abort });
  await work.charge(bytes);
  const host = registryOf(reference);
  const folder = await work.newFolder('fetched');
  const tooMuch = new AbortController();
  const watch = setInterval(async () => {
    const done = await bytesIn(folder);
    if (done > bytes + limits.smallFileBytes) tooMuch.abort(moreThanSaid(reference, bytes));
    else if (signal?.aborted !== true) onProgress?.({ stage: 'pull', text: reference, done, total: bytes });
  }, limits.folderWatchMs);
  try {
    const either = signal === undefined ? tooMuch.signal : AbortSignal.any([signal, tooMuch.signal]);
    const args = [tlsFlag('src-', host), `docker://${pinned}`, `dir:${folder}`];
    const { problem } = await skopeo('copy', host, args, { work, signal: either });
    if (problem !== undefined) throw fetchError(reference, problem);
  } finally {
    clearInterval(watch);
  }
  const store = await folderStore(folder);
  return openOrClose(store, async () => {
    const image = await openManifest(store, manifest, (digest) => digest.replace('sha256:', ''), platform);
    image.name = reference;
    image.repoDigest = pinned;
    return image;
  });
}

/** skopeo tells bytes to terminals only; what has arrived is in the folder. Files that it renames meanwhile count as none. */
async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function moreThanSaid(reference: string, bytes: number): BuilderError {
  return new BuilderError('IMAGE_INVALID', `${reference} has more than the ${bytes} bytes that its manifest says`, {
    remedy: 'do not trust this registry',
  });
}
