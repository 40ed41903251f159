import type { OperationResponse } from '@enclaver/bus';
import { readEif } from '@enclaver/eif';
import type { BuildOptions } from './build-options.ts';
import { fetchFrom, locate } from './image/open-source.ts';
import { PendingFile, sha256OfFile } from './output.ts';
import type { Platform } from './platform.ts';
import { copyFromArchive, copyFromImage, noSuchFile } from './release/contents.ts';
import { EIF_IN_IMAGE } from './release/layer.ts';
import { checkSpace, WorkDir } from './work-dir.ts';

export interface ExtractOptions extends Pick<BuildOptions, 'dataDir' | 'maxUnpackedBytes' | 'signal'> {
  /** Of an image for several; default: this machine's. */
  platform?: Platform;
}

/**
 * Takes `/enclave/application.eif` out of a release image of the engine, or of its registry where the engine has none, checks
 * that it is an EIF, and puts it into the data folder. Throws IMAGE_NO_EIF, the errors of opening an image, and EifError for a
 * damaged one.
 */
export async function extractEif(
  reference: string,
  { dataDir, platform, maxUnpackedBytes, signal }: ExtractOptions,
): Promise<OperationResponse<'builder', 'extract'>> {
  const wanted = platform === undefined ? {} : { platform };
  const abort = signal === undefined ? {} : { signal };
  const place = await locate(reference, { pull: false, ...wanted, ...abort });
  await using output = await PendingFile.inStore(dataDir);
  const reserve = (bytes: number): Promise<void> => checkSpace(dataDir, bytes);
  let image: { id: string; repoDigest?: string };
  if (place.found !== undefined) {
    image = place.found;
    const copied = await place.engine.withPath(place.found, `/${EIF_IN_IMAGE}`, (archive) =>
      copyFromArchive(archive, output.path, { reserve, ...abort }),
    );
    if (copied !== true) throw noSuchFile(place.name, EIF_IN_IMAGE);
  } else {
    await using work = await WorkDir.create(dataDir, maxUnpackedBytes);
    await using fetched = await fetchFrom(place, { work, ...wanted, ...abort });
    await copyFromImage(fetched, EIF_IN_IMAGE, output.path, { reserve, work, ...abort });
    image = fetched;
  }
  const { measurements } = await readEif(output.path);
  const sha256 = await sha256OfFile(output.path);
  const { id, repoDigest } = image;
  return {
    eif: await output.place(sha256),
    sha256,
    measurements,
    image: { id, name: place.name, ...(repoDigest === undefined ? {} : { repoDigest }) },
  };
}
