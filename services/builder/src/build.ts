import { parseImageSource, parseManifest } from '@enclaver/manifest';
import { abortable } from './abortable.ts';
import { assemble } from './assemble.ts';
import type { Build, BuildOptions, BuildResult } from './build-options.ts';
import { BuilderError } from './builder-error.ts';
import { checkDocuments, writeDocuments } from './documents.ts';
import { Engine } from './image/engine.ts';
import type { Image } from './image/image.ts';
import { fullReference } from './image/names.ts';
import { openLocal, openReference, openSource } from './image/open-source.ts';
import { launchDescription } from './launch.ts';
import { type Flattened, flatten } from './layers/flatten.ts';
import { checkManifestFiles } from './manifest-files.ts';
import { PendingFile, sha256OfFile } from './output.ts';
import { archOf, type Platform } from './platform.ts';
import { completeTree } from './ramdisk.ts';
import { checkBuild } from './rebuild/check.ts';
import { pushRelease } from './registry/push.ts';
import { loadRelease } from './release/load.ts';
import { makeReleaseImage, type ReleaseImage } from './release/release-image.ts';
import { loadRuntime, type Runtime } from './runtime.ts';
import { checkScope } from './scope.ts';
import { checkSealedKeys } from './sealed-keys.ts';
import { sectionSigner } from './sign.ts';
import { WorkDir } from './work-dir.ts';

/**
 * Builds a manifest into an EIF and, unless `eifOnly`, a release image. Leaves nothing behind when it fails, but for a release
 * image that was delivered by then: its documents come after it. Throws BuilderError, ManifestError, EifError, and the reason of
 * `signal`.
 */
export async function buildEnclave(options: BuildOptions): Promise<BuildResult> {
  const progress = abortable(options);
  progress({ stage: 'resolve', text: options.manifestFile });
  const manifest = parseManifest(options.manifest, { file: options.manifestFile });
  checkScope(manifest, options.manifest, options.manifestFile);
  // What cannot work is said before an image is fetched
  const sign = options.unsigned === true ? undefined : await sectionSigner(manifest, options.contextDir);
  await using output = await (options.eifOnly === undefined
    ? PendingFile.inStore(options.dataDir)
    : PendingFile.at(options.eifOnly));
  checkDocuments(options);
  const engine = options.eifOnly === undefined ? await findEngine(options.push ?? false, options.signal) : undefined;
  await using work = await WorkDir.create(options.dataDir, options.maxUnpackedBytes);
  const build = { options, manifest, work, progress };
  const app = options.from ?? manifest.sources.app;
  // A name out of an image's labels may be anything: what is no name is not told
  const source = parseImageSource(app);
  progress({ stage: 'resolve', text: app });
  await using image = await openSource(source, app, {
    ...imageOptions(build, options.platform),
    contextDir: options.contextDir,
    pull: options.pull ?? false,
  });
  const launch = launchDescription(image.config, app);
  const runtime = await loadRuntime(options.runtime, archOf(image.platform));
  await using base = options.eifOnly === undefined ? await openBase(build, image.platform, runtime) : undefined;
  const flattened = await flatten(image, work, (done, total) => progress({ stage: 'flatten', text: app, done, total }));
  warn(flattened, options.onWarning);
  for (const text of checkManifestFiles(flattened.tree, manifest)) options.onWarning?.(text);
  await checkSealedKeys(flattened, manifest);
  completeTree(flattened.tree, Buffer.from(options.manifest, 'utf8'), image.config.config.Volumes);
  const written = await assemble(output.path, {
    runtime,
    flattened,
    launch,
    name: manifest.name,
    image,
    ...(sign === undefined ? {} : { sign }),
    onBytes: (done, total) => progress({ stage: 'assemble', text: manifest.name, done, total }),
  });
  const { measurements, size } = written;
  const sha256 = await sha256OfFile(output.path);
  if (options.check === true) await checkBuild(options, output.path, work, progress);
  const result: BuildResult = {
    eif: { path: '', size, sha256 },
    platform: image.platform,
    measurements,
    sources: {
      app: { ...imageInfo(image), layers: image.layers.map(({ diffId }) => diffId) },
      ...(base === undefined ? {} : { base: imageInfo(base) }),
    },
    tools: toolsOf(runtime),
    ...(options.check === true ? { checked: true } : {}),
  };
  if (base !== undefined) {
    const made = await makeReleaseImage({
      eif: { path: output.path, size },
      manifest: Buffer.from(options.manifest, 'utf8'),
      ports: manifest.ingress.map(({ listenPort }) => listenPort),
      base,
      facts: {
        enclaverVersion: runtime.enclaverVersion,
        platform: image.platform,
        sourceName: app,
        sourceId: image.id,
        baseName: base.name ?? base.id,
        baseId: base.id,
        eifSha256: sha256,
        measurements,
      },
      work,
    });
    result.image = await deliver(build, made, engine);
  }
  const documents = await writeDocuments(build, output.path, result);
  if (documents !== undefined) result.documents = documents;
  result.eif.path = await output.place(sha256);
  return result;
}

function imageOptions({ options, work, progress }: Build, platform: Platform | undefined) {
  return {
    work,
    onProgress: progress,
    ...(platform === undefined ? {} : { platform }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

/** A release image goes to an engine; one that is pushed needs none. Throws ENGINE_UNREACHABLE. */
async function findEngine(push: boolean, signal: AbortSignal | undefined): Promise<Engine | undefined> {
  const engine = await Engine.find(signal);
  try {
    await engine.ping();
    return engine;
  } catch (error) {
    if (push && error instanceof BuilderError && error.code === 'ENGINE_UNREACHABLE') return undefined;
    throw error;
  }
}

/** Throws BASE_IMAGE_MISSING, and the errors of reading an image. */
async function openBase(build: Build, platform: Platform, runtime: Runtime): Promise<Image> {
  const { options, manifest } = build;
  const named = manifest.sources.sleeve ?? options.baseImage;
  const name = named ?? `enclaver/enclaver:${runtime.enclaverVersion}`;
  build.progress({ stage: 'resolve', text: `base ${name}` });
  try {
    const opening = imageOptions(build, platform);
    // Nobody publishes the default: what a registry has under its name is somebody else's
    return await (named === undefined ? openLocal(name, opening) : openReference(name, { ...opening, pull: false }));
  } catch (cause) {
    if (!(cause instanceof BuilderError) || !['IMAGE_NOT_FOUND', 'IMAGE_ARCH', 'PULL_FAILED'].includes(cause.code)) {
      throw cause;
    }
    throw new BuilderError(
      'BASE_IMAGE_MISSING',
      `there is no ${fullReference(name)} for ${platform}, the base of release images: ${cause.message}`,
      {
        remedy: `in a checkout of Enclaver: docker build --target enclaver -t ${fullReference(name)} .  (or name one: sources.sleeve; or build with --eif-only)`,
        cause,
      },
    );
  }
}

async function deliver(build: Build, made: ReleaseImage, engine: Engine | undefined): Promise<BuildResult['image']> {
  const { options, manifest, work, progress } = build;
  const name = fullReference(manifest.target);
  if (engine !== undefined) {
    await loadRelease(made, name, engine, (done, total) => progress({ stage: 'package', text: name, done, total }));
  }
  const info = {
    id: made.id,
    name,
    digest: made.digest,
    layers: made.layers.map(({ digest, size }) => ({ digest, size })),
  };
  if (options.push !== true) return info;
  progress({ stage: 'push', text: name });
  const repoDigest = await pushRelease(made, name, {
    work,
    onLine: (line) => progress({ stage: 'push', text: line }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return { ...info, repoDigest };
}

function warn({ tree }: Flattened, onWarning: ((text: string) => void) | undefined): void {
  const { xattrs } = tree.leftOut;
  if (xattrs === 0) return;
  onWarning?.(
    `${xattrs} files of the image have extended attributes, file capabilities among them, which an enclave's file ` +
      'system does not carry: a program that relies on one must run as a user that has that right',
  );
}

function imageInfo({ id, name, repoDigest }: Image): { id: string; name?: string; repoDigest?: string } {
  return { id, ...(name === undefined ? {} : { name }), ...(repoDigest === undefined ? {} : { repoDigest }) };
}

function toolsOf({ enclaverVersion, kernelVersion, nodeVersion, toolchain }: Runtime): BuildResult['tools'] {
  return { enclaver: enclaverVersion, kernel: kernelVersion, node: nodeVersion, toolchain: [...toolchain] };
}
