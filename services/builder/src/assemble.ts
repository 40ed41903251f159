import { dirname } from 'node:path';
import { cpio, type EifContents, type WrittenEif, writeEif } from '@enclaver/eif';
import type { LaunchDescription } from '@enclaver/wire';
import { BuilderError } from './builder-error.ts';
import type { Image } from './image/image.ts';
import type { Flattened } from './layers/flatten.ts';
import { archOf } from './platform.ts';
import { contentBytes, ramdiskEntries } from './ramdisk.ts';
import { readFileAhead } from './read-ahead.ts';
import type { Runtime } from './runtime.ts';
import { checkSpace } from './work-dir.ts';

/** Fixed, so that the same inputs give the same file at any time. */
const BUILD_TIME = '1970-01-01T00:00:00+00:00';

export interface AssembleOptions {
  runtime: Runtime;
  flattened: Flattened;
  launch: LaunchDescription;
  /** The manifest's name. */
  name: string;
  image: Image;
  sign?: EifContents['sign'];
  onBytes: (done: number, total: number) => void;
}

/** Writes the EIF of an unpacked image. Throws DISK_FULL, EifError. */
export async function assemble(path: string, options: AssembleOptions): Promise<WrittenEif> {
  const { runtime, flattened, launch, name, image, sign, onBytes } = options;
  const content = contentBytes(flattened.tree);
  await checkSpace(dirname(path), content);
  const total = content + runtime.bytes;
  try {
    return await writeEif(path, {
      arch: archOf(image.platform),
      kernel: readFileAhead(runtime.kernel),
      cmdline: runtime.cmdline,
      ramdisks: [readFileAhead(runtime.ramdisk), cpio(ramdiskEntries(flattened, launch))],
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
      ...(sign === undefined ? {} : { sign }),
      // Headers and padding are not in the estimate
      onProgress: ({ bytesWritten }) => onBytes(bytesWritten, Math.max(total, bytesWritten)),
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
