import type { BuildProgress, OperationResponse } from '@enclaver/bus';
import { readEif } from '@enclaver/eif';
import { openReference } from './image/open-source.ts';
import { PendingFile, sha256OfFile } from './output.ts';
import type { Platform } from './platform.ts';
import { copyFromImage } from './release/contents.ts';
import { EIF_IN_IMAGE } from './release/layer.ts';
import { checkSpace, WorkDir } from './work-dir.ts';

export interface ExtractOptions {
  dataDir: string;
  /** Of an image for several; default: this machine's. */
  platform?: Platform;
  onProgress?: (progress: BuildProgress) => void;
}

/**
 * Takes `/enclave/application.eif` out of a release image of the engine, or of its registry where the engine has none, checks
 * that it is an EIF, and puts it into the data folder. Throws IMAGE_NO_EIF, the errors of opening an image, and EifError for a
 * damaged one.
 */
export async function extractEif(
  reference: string,
  { dataDir, platform, onProgress = () => undefined }: ExtractOptions,
): Promise<OperationResponse<'builder', 'extract'>> {
  await using work = await WorkDir.create(dataDir);
  await using image = await openReference(reference, {
    work,
    pull: false,
    onProgress,
    ...(platform === undefined ? {} : { platform }),
  });
  await using output = await PendingFile.inStore(dataDir);
  await copyFromImage(image, EIF_IN_IMAGE, output.path, (bytes) => checkSpace(dataDir, bytes));
  const { measurements } = await readEif(output.path);
  const sha256 = await sha256OfFile(output.path);
  const { id, name, repoDigest } = image;
  return {
    eif: await output.place(sha256),
    sha256,
    measurements,
    image: { id, ...(name === undefined ? {} : { name }), ...(repoDigest === undefined ? {} : { repoDigest }) },
  };
}
