import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BuilderError } from '../builder-error.ts';
import { folderStore, openOrClose, readBlob } from '../image/blob-store.ts';
import type { Image } from '../image/image.ts';
import { repositoryOf } from '../image/names.ts';
import { openManifest } from '../image/oci-manifest.ts';
import { checkDigest } from '../image/open-image.ts';
import { limits } from '../limits.ts';
import { hostPlatform, type Platform } from '../platform.ts';
import type { WorkDir } from '../work-dir.ts';
import { registryOf, skopeoCopy, tlsFlag } from './skopeo.ts';

export interface FetchOptions {
  platform?: Platform;
  work: WorkDir;
  signal?: AbortSignal;
  onProgress?: (progress: { stage: 'pull'; text: string; done?: number }) => void;
}

/**
 * Fetches an image from its registry into the work folder, the stored bytes as the registry has them. Of an image for
 * several platforms, the one asked for or this machine's. Throws IMAGE_NOT_FOUND, IMAGE_ARCH, PULL_FAILED and the errors of
 * reading an image.
 */
export async function fetchImage(reference: string, options: FetchOptions): Promise<Image> {
  const { work, platform } = options;
  const host = registryOf(reference);
  const [, arch = ''] = (platform ?? hostPlatform()).split('/');
  const folder = await work.newFolder('fetched');
  const watch = watchFolder(folder, reference, options);
  let problem: string | undefined;
  try {
    const choice = ['--override-os', 'linux', '--override-arch', arch];
    const args = [...choice, tlsFlag('src', host), `docker://${reference}`, `dir:${folder}`];
    problem = await skopeoCopy(host, args, options);
  } finally {
    clearInterval(watch);
  }
  if (problem !== undefined) throw fetchError(reference, problem, platform);
  await work.charge(await bytesIn(folder));
  const store = await folderStore(folder);
  return openOrClose(store, async () => {
    const bytes = await readBlob(store, 'manifest.json', limits.manifestBytes);
    const image = await openManifest(store, bytes, (digest) => digest.replace('sha256:', ''), platform);
    image.name = reference;
    image.repoDigest = `${repositoryOf(reference)}@${checkDigest(bytes, undefined, reference)}`;
    return image;
  });
}

/** skopeo tells bytes to terminals only; what has arrived is in the folder. */
function watchFolder(folder: string, reference: string, { onProgress, signal }: FetchOptions): NodeJS.Timeout {
  onProgress?.({ stage: 'pull', text: reference });
  const timer = setInterval(async () => {
    const done = await bytesIn(folder).catch(() => undefined);
    if (done !== undefined && signal?.aborted !== true) onProgress?.({ stage: 'pull', text: reference, done });
  }, limits.folderWatchMs);
  return timer.unref();
}

async function bytesIn(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function fetchError(reference: string, problem: string, platform: Platform | undefined): BuilderError {
  if (/no image found in (manifest list|image index) for/i.test(problem)) {
    return new BuilderError('IMAGE_ARCH', `${reference} is not there for ${platform ?? hostPlatform()}: ${problem}`, {
      remedy: 'name a platform that it has with --platform',
    });
  }
  if (/manifest unknown|name unknown|repository .* not found|not found: manifest/i.test(problem)) {
    return new BuilderError('IMAGE_NOT_FOUND', `neither an engine here nor the registry has ${reference}: ${problem}`, {
      remedy: 'check the name and the tag',
    });
  }
  const refused = /unauthorized|denied|authentication required|401|403/i.test(problem);
  return new BuilderError('PULL_FAILED', `could not fetch ${reference}: ${problem}`, {
    remedy: refused
      ? 'log in with `docker login`, as the user that the builder runs as'
      : 'check the name and the network',
  });
}
