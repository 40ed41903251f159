import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { BuildProgress, OperationResponse } from '@enclaver/bus';
import * as z from 'zod';
import { BuilderError } from './builder-error.ts';
import { readRange } from './image/blob-store.ts';
import { Engine, type EngineImage, fullReference } from './image/engine.ts';
import type { Image } from './image/image.ts';
import { decodeJson } from './image/image-config.ts';
import { type TarMember, tarSize, writeTar } from './tar/tar-write.ts';
import type { WorkDir } from './work-dir.ts';

export interface ReleaseImageOptions {
  eif: { path: string; size: number };
  manifest: Buffer;
  /** Name and tag. */
  target: string;
  base: BaseImage;
  work: WorkDir;
  onProgress: (progress: BuildProgress) => void;
}

/** An image that the engine has, whose ENTRYPOINT runs /enclave/application.eif. */
export interface BaseImage {
  name: string;
  found: EngineImage;
}

type ReleaseImage = NonNullable<OperationResponse<'builder', 'build'>['image']>;

export const EIF_IN_IMAGE = 'enclave/application.eif';
const EPOCH = '1970-01-01T00:00:00Z';

// Everything of the base's configuration stays as it is; two lists grow by one
const configSchema = z.looseObject({
  rootfs: z.looseObject({ diff_ids: z.array(z.string()) }),
  history: z.array(z.unknown()).nullish(),
});

/** Throws BASE_IMAGE_MISSING, ENGINE_UNREACHABLE. */
export async function findBaseImage(reference: string): Promise<BaseImage> {
  const name = fullReference(reference);
  const found = await new Engine().inspect(name);
  if (found !== undefined) return { name, found };
  throw new BuilderError('BASE_IMAGE_MISSING', `the engine has no ${name}, the base of release images`, {
    remedy: `in a checkout of Enclaver: docker build --target enclaver -t ${name} .  (or build with --eif-only)`,
  });
}

/**
 * Makes the release image: the base plus one layer with `/enclave/application.eif` and `/enclave/enclaver.yaml`. Not by an
 * engine's build, which writes times into it: we write the archive and the engine loads it, so that the same base and EIF
 * give the same image. Throws ENGINE_UNREACHABLE, ENGINE_ERROR.
 */
export async function releaseImage(options: ReleaseImageOptions): Promise<ReleaseImage> {
  const { base, target, work, onProgress } = options;
  const engine = new Engine();
  onProgress({ stage: 'package', text: `base ${base.name}` });
  await using image = await engine.save(base.name, base.found, work, 'base.tar');
  const config = { id: '' };
  const archive = archiveMembers(options, image, config);
  let done = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of writeTar(archive)) {
      done += chunk.length;
      onProgress({ stage: 'package', text: target, done });
      yield chunk;
    }
  };
  await engine.load(Readable.from(counted(), { objectMode: false }));
  return { id: config.id, name: fullReference(target) };
}

/** Members of a `docker save` archive: layers, configuration, and last the manifest that names them. */
async function* archiveMembers(
  options: ReleaseImageOptions,
  image: Image,
  config: { id: string },
): AsyncGenerator<TarMember> {
  const layers: string[] = [];
  for (const layer of image.layers) {
    const name = `${layers.length}.tar`;
    await using blob = await layer.open();
    yield { name, mode: 0o644, size: blob.size, data: readRange(blob) };
    layers.push(name);
  }
  const name = `${layers.length}.tar`;
  const hash = createHash('sha256');
  await using eif = await open(options.eif.path, 'r');
  const size = options.eif.size;
  const members: TarMember[] = [
    { name: 'enclave/', mode: 0o755 },
    { name: EIF_IN_IMAGE, mode: 0o644, size, data: readRange({ file: eif, offset: 0, size }) },
    { name: 'enclave/enclaver.yaml', mode: 0o644, size: options.manifest.length, data: options.manifest },
  ];
  const layerBytes = (async function* () {
    for await (const chunk of writeTar(members)) {
      hash.update(chunk);
      yield chunk;
    }
  })();
  yield { name, mode: 0o644, size: tarSize(members), data: layerBytes };
  layers.push(name);
  const bytes = extendConfig(image, `sha256:${hash.digest('hex')}`, options.base.name);
  const hex = createHash('sha256').update(bytes).digest('hex');
  config.id = `sha256:${hex}`;
  yield { name: `${hex}.json`, mode: 0o644, size: bytes.length, data: bytes };
  const manifest = Buffer.from(
    JSON.stringify([{ Config: `${hex}.json`, RepoTags: [fullReference(options.target)], Layers: layers }]),
  );
  yield { name: 'manifest.json', mode: 0o644, size: manifest.length, data: manifest };
}

function extendConfig(image: Image, diffId: string, base: string): Buffer {
  const config = decodeJson(image.configBytes, configSchema, `the configuration of ${base}`);
  const step = { created: EPOCH, created_by: 'enclaver build', comment: 'application.eif, enclaver.yaml' };
  const extended = {
    ...config,
    created: EPOCH,
    rootfs: { ...config.rootfs, diff_ids: [...config.rootfs.diff_ids, diffId] },
    history: [...(config.history ?? []), step],
  };
  return Buffer.from(JSON.stringify(extended));
}
