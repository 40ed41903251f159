import { resolve } from 'node:path';
import type { ImageSource } from '@enclaver/manifest';
import { BuilderError } from '../builder-error.ts';
import type { Platform } from '../platform.ts';
import { type FetchOptions, fetchImage } from '../registry/fetch.ts';
import { archiveStore, folderStore, openOrClose } from './blob-store.ts';
import { openDockerArchive } from './docker-archive.ts';
import { Engine, type EngineImage, type EngineProgress } from './engine.ts';
import type { Image } from './image.ts';
import { fullReference } from './names.ts';
import { openOciLayout } from './oci-layout.ts';

export interface OpenOptions extends FetchOptions {
  /** Absolute folder that relative paths start from. */
  contextDir: string;
  /** Fetch it from its registry even if the engine has it. */
  pull: boolean;
  onProgress?: EngineProgress & NonNullable<FetchOptions['onProgress']>;
}

/** Opens an image by what a manifest says of it. `name` is how the manifest writes it. */
export async function openSource(source: ImageSource, name: string, options: OpenOptions): Promise<Image> {
  if (source.kind === 'reference') return openReference(source.reference, options);
  const path = resolve(options.contextDir, source.path);
  const store = await (source.kind === 'oci' ? folderStore(path) : archiveStore(path, { private: false }));
  const image = await openOrClose(store, () =>
    source.kind === 'docker-archive'
      ? openDockerArchive(store, options.platform)
      : openOciLayout(store, source.reference, options.platform),
  );
  image.name = name;
  return image;
}

/**
 * The engine's image where it has one for the platform, else the registry's; the engine keeps what it has either way. An
 * image id is the engine's alone.
 */
export async function openReference(reference: string, options: Omit<OpenOptions, 'contextDir'>): Promise<Image> {
  const place = await locate(reference, options);
  return place.found === undefined ? fetchFrom(place, options) : save(place, options);
}

/** The engine's image, and no registry's. Throws IMAGE_NOT_FOUND, also where there is no engine, IMAGE_ARCH, ENGINE_ERROR. */
export async function openLocal(reference: string, options: Omit<OpenOptions, 'contextDir' | 'pull'>): Promise<Image> {
  const place = await locate(reference, { ...options, pull: false });
  if (place.found !== undefined) return save(place, options);
  throw new BuilderError('IMAGE_NOT_FOUND', place.noEngine?.message ?? `the engine has no ${place.name}`);
}

function save(place: Extract<ImagePlace, { found: EngineImage }>, options: Omit<OpenOptions, 'contextDir' | 'pull'>) {
  return place.engine.save(place.name, place.found, options.work, options.onProgress);
}

/** Where the image of a reference is: in the engine, or else to be fetched. */
export type ImagePlace =
  | { name: string; engine: Engine; found: EngineImage }
  | { name: string; found?: undefined; noEngine?: BuilderError };

/** Throws IMAGE_NOT_FOUND and ENGINE_UNREACHABLE for an image id, IMAGE_ARCH, ENGINE_ERROR. */
export async function locate(
  reference: string,
  { pull, platform, signal }: Pick<OpenOptions, 'pull' | 'platform' | 'signal'>,
): Promise<ImagePlace> {
  const isId = IMAGE_ID.test(reference);
  const name = isId ? reference : fullReference(reference);
  const engine = await Engine.find(signal);
  const local = pull && !isId ? undefined : await findLocal(engine, name, platform);
  if (local !== undefined && !(local instanceof BuilderError)) return { name, engine, found: local };
  if (isId) throw local ?? notFound(name);
  return { name, ...(local === undefined ? {} : { noEngine: local }) };
}

/** Fetches an image that no engine here has. Throws as `fetchImage`. */
export async function fetchFrom(
  { name, noEngine }: Extract<ImagePlace, { found?: undefined }>,
  options: FetchOptions,
): Promise<Image> {
  return fetchImage(name, options).catch((error: unknown) => {
    throw noEngine === undefined ? error : alsoNoEngine(error, noEngine);
  });
}

const IMAGE_ID = /^(sha256:)?[0-9a-f]{64}$/;

/** Where no engine answers, that error: a registry may have the image. */
async function findLocal(
  engine: Engine,
  reference: string,
  platform: Platform | undefined,
): Promise<EngineImage | BuilderError | undefined> {
  try {
    const found = await engine.inspect(reference);
    return platform === undefined || found?.platform === platform ? found : undefined;
  } catch (error) {
    if (error instanceof BuilderError && error.code === 'ENGINE_UNREACHABLE') return error;
    // It has one that nobody asked for: a registry may have the other
    if (error instanceof BuilderError && error.code === 'IMAGE_ARCH' && platform !== undefined) return undefined;
    throw error;
  }
}

function notFound(id: string): BuilderError {
  return new BuilderError('IMAGE_NOT_FOUND', `the engine has no image ${id}`, {
    remedy: '`docker image ls --no-trunc` shows the ids of those it has',
  });
}

function alsoNoEngine(error: unknown, engine: BuilderError): unknown {
  if (!(error instanceof BuilderError) || !['IMAGE_NOT_FOUND', 'PULL_FAILED'].includes(error.code)) return error;
  return new BuilderError(error.code, `${error.message}; ${engine.message}`, {
    remedy: `${error.remedy ?? ''}; for an image of this machine's engine: ${engine.remedy ?? ''}`,
    cause: error,
  });
}
