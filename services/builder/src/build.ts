import { createReadStream } from 'node:fs';
import { dirname } from 'node:path';
import type { BuildProgress, OperationResponse } from '@enclaver/bus';
import { cpio, writeEif } from '@enclaver/eif';
import { parseImageSource, parseManifest } from '@enclaver/manifest';
import type { LaunchDescription } from '@enclaver/wire';
import { BuilderError } from './builder-error.ts';
import type { Image } from './image/image.ts';
import { openSource } from './image/open-source.ts';
import { launchDescription } from './launch.ts';
import { type Flattened, flatten } from './layers/flatten.ts';
import { limits } from './limits.ts';
import { PendingFile, sha256OfFile } from './output.ts';
import { completeTree, contentBytes, ramdiskEntries } from './ramdisk.ts';
import { findBaseImage, releaseImage } from './release-image.ts';
import { loadRuntime, type Runtime } from './runtime.ts';
import { checkScope } from './scope.ts';
import { checkSpace, WorkDir } from './work-dir.ts';

/** Fixed, so that the same inputs give the same file at any time. */
const BUILD_TIME = '1970-01-01T00:00:00+00:00';

export interface BuildOptions {
  /** The manifest's text, which goes into the image as it is. */
  manifest: string;
  /** Name of the manifest in messages. */
  manifestFile: string;
  /** Absolute folder that relative paths of the manifest start from. */
  contextDir: string;
  /** Fetch the app's image even if the engine has it. */
  pull?: boolean;
  /** Absolute path for the EIF; no release image is made then. */
  eifOnly?: string;
  /** Folder for work files and images. */
  dataDir: string;
  /** Folder of the enclave runtimes, one folder per architecture. */
  runtime: string;
  /** Base of the release image where the manifest names none. */
  baseImage?: string;
  /** Most bytes of work files, which are the image's layers unpacked. Default: as `limits` says. */
  maxUnpackedBytes?: number;
  onProgress?: (progress: BuildProgress) => void;
  /** What the image has and an enclave does not carry; for people. */
  onWarning?: (text: string) => void;
}

export type BuildResult = OperationResponse<'builder', 'build'>;

/**
 * Builds a manifest into an EIF and, unless `eifOnly`, a release image. Leaves nothing behind when it fails. Throws
 * BuilderError, ManifestError, EifError.
 */
export async function buildEnclave(options: BuildOptions): Promise<BuildResult> {
  const progress = options.onProgress ?? (() => undefined);
  progress({ stage: 'resolve', text: options.manifestFile });
  const manifest = parseManifest(options.manifest, { file: options.manifestFile });
  checkScope(manifest, options.manifest, options.manifestFile);
  // What cannot work is said before an image is pulled
  await using output = await (options.eifOnly === undefined
    ? PendingFile.inStore(options.dataDir)
    : PendingFile.at(options.eifOnly));
  const runtime = await loadRuntime(options.runtime, 'x86_64');
  const baseName = manifest.sources.sleeve ?? options.baseImage ?? `enclaver/enclaver:${runtime.enclaverVersion}`;
  const base = options.eifOnly === undefined ? await findBaseImage(baseName) : undefined;
  await using work = await WorkDir.create(options.dataDir, options.maxUnpackedBytes);
  const { app } = manifest.sources;
  progress({ stage: 'resolve', text: app });
  await using image = await openSource(parseImageSource(app), app, {
    contextDir: options.contextDir,
    work,
    pull: options.pull ?? false,
    onProgress: progress,
  });
  const launch = launchDescription(image.config, app);
  const flattened = await flatten(image, work, (done, total) => progress({ stage: 'flatten', text: app, done, total }));
  warn(flattened, options.onWarning);
  const manifestBytes = Buffer.from(options.manifest, 'utf8');
  completeTree(flattened.tree, manifestBytes, image.config.config.Volumes);
  const written = await assemble(output.path, { runtime, flattened, launch, name: manifest.name, image, progress });
  const sha256 = await sha256OfFile(output.path);
  const sources = { app: imageInfo(image) };
  const { measurements, size } = written;
  if (base === undefined) {
    return { eif: { path: await output.place(sha256), size, sha256 }, measurements, sources };
  }
  const made = await releaseImage({
    eif: { path: output.path, size },
    manifest: manifestBytes,
    target: manifest.target,
    base,
    work,
    onProgress: progress,
  });
  return { eif: { path: await output.place(sha256), size, sha256 }, measurements, sources, image: made };
}

interface Parts {
  runtime: Runtime;
  flattened: Flattened;
  launch: LaunchDescription;
  name: string;
  image: Image;
  progress: (progress: BuildProgress) => void;
}

async function assemble(path: string, { runtime, flattened, launch, name, image, progress }: Parts) {
  const content = contentBytes(flattened.tree);
  await checkSpace(dirname(path), content);
  try {
    return await writeEif(path, {
      arch: 'x86_64',
      kernel: createReadStream(runtime.kernel, { highWaterMark: limits.readBytes }),
      cmdline: runtime.cmdline,
      ramdisks: [
        createReadStream(runtime.ramdisk, { highWaterMark: limits.readBytes }),
        cpio(ramdiskEntries(flattened, launch)),
      ],
      metadata: {
        ImageName: name,
        ImageVersion: image.id.replace(/^sha256:/, ''),
        BuildMetadata: {
          BuildTime: BUILD_TIME,
          BuildTool: 'enclaver',
          BuildToolVersion: runtime.enclaverVersion,
          OperatingSystem: 'Linux',
          KernelVersion: runtime.kernelVersion,
        },
        DockerInfo: null,
        CustomMetadata: null,
      },
      onProgress: ({ bytesWritten }) => progress({ stage: 'assemble', done: bytesWritten }),
    });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new BuilderError('DISK_FULL', `the disk became full while ${dirname(path)} took the EIF`, {
      remedy: 'free space there, or choose another folder',
      cause: error,
    });
  }
}

function warn({ tree }: Flattened, onWarning: ((text: string) => void) | undefined): void {
  const { xattrs } = tree.leftOut;
  if (xattrs === 0) return;
  onWarning?.(
    `${xattrs} files of the image have extended attributes, file capabilities among them, which an enclave's file ` +
      'system does not carry: a program that relies on one must run as a user that has that right',
  );
}

function imageInfo({ id, name, repoDigest }: Image): BuildResult['sources']['app'] {
  return { id, ...(name === undefined ? {} : { name }), ...(repoDigest === undefined ? {} : { repoDigest }) };
}
