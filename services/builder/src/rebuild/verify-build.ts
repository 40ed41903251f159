import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationResponse } from '@enclaver/bus';
import { readEif } from '@enclaver/eif';
import { decodeManifest } from '@enclaver/manifest';
import * as z from 'zod';
import { abortable } from '../abortable.ts';
import { buildEnclave } from '../build.ts';
import type { BuildOptions } from '../build-options.ts';
import { BuilderError } from '../builder-error.ts';
import type { Image } from '../image/image.ts';
import { decodeJson } from '../image/image-config.ts';
import { openReference } from '../image/open-source.ts';
import { limits } from '../limits.ts';
import { sha256OfFile } from '../output.ts';
import { copyFromImage } from '../release/contents.ts';
import { type RecordedInputs, recordedInputs } from '../release/labels.ts';
import { EIF_IN_IMAGE, MANIFEST_IN_IMAGE } from '../release/layer.ts';
import { checkSpace, WorkDir } from '../work-dir.ts';
import { compareBuilds } from './compare.ts';

export interface VerifyOptions
  extends Pick<
    BuildOptions,
    'dataDir' | 'runtime' | 'contextDir' | 'from' | 'maxUnpackedBytes' | 'signal' | 'onProgress'
  > {
  /** The release image. */
  image: string;
}

/**
 * Builds the EIF of a release image again from what the image records - its manifest, and the name and digest of the app's
 * image - and compares the two, byte by byte and then part by part. Throws IMAGE_NOT_RECORDED, SOURCE_MOVED, and the errors
 * of a build.
 */
export async function verifyBuild(options: VerifyOptions): Promise<OperationResponse<'builder', 'verifyBuild'>> {
  const { dataDir, image: reference, signal } = options;
  const abort = signal === undefined ? {} : { signal };
  await using work = await WorkDir.create(dataDir, options.maxUnpackedBytes);
  await using image = await openReference(reference, { work, pull: false, onProgress: abortable(options), ...abort });
  const inputs = recordedInputs(labelsOf(image));
  if (inputs === undefined) {
    throw new BuilderError('IMAGE_NOT_RECORDED', `${reference} does not record what it was built from`, {
      remedy: 'it must be a release image of `enclaver build`; an EIF alone is compared with `enclaver eif diff`',
    });
  }
  const shipped = join(work.path, 'shipped.eif');
  const manifestPath = join(work.path, 'enclaver.yaml');
  const reserve = (bytes: number): Promise<void> => checkSpace(dataDir, bytes);
  await copyFromImage(image, EIF_IN_IMAGE, shipped, { reserve, work, ...abort });
  await copyFromImage(image, MANIFEST_IN_IMAGE, manifestPath, { reserve: refuseLarge, work, ...abort });
  const rebuilt = join(work.path, 'rebuilt.eif');
  const built = await buildEnclave({
    ...options,
    manifest: decodeManifest(await readFile(manifestPath), `/${MANIFEST_IN_IMAGE}`),
    manifestFile: `/${MANIFEST_IN_IMAGE}`,
    from: options.from ?? inputs.sourceName,
    platform: inputs.platform,
    eifOnly: rebuilt,
    unsigned: true,
  });
  if (built.sources.app.id !== inputs.sourceId) throw moved(built.sources.app.id, inputs, options.from);
  const recorded = await readEif(shipped);
  const differences = await compareBuilds(shipped, rebuilt);
  return {
    identical: differences.length === 0,
    recorded: {
      sha256: await sha256OfFile(shipped),
      measurements: recorded.measurements,
      ...(inputs.enclaverVersion === undefined ? {} : { enclaver: inputs.enclaverVersion }),
    },
    rebuilt: { sha256: built.eif.sha256, measurements: built.measurements, enclaver: built.tools.enclaver },
    differences,
  };
}

const configSchema = z.object({ config: z.object({ Labels: z.unknown().optional() }).nullish() });

function labelsOf(image: Image): unknown {
  return decodeJson(image.configBytes, configSchema, 'the configuration of the release image').config?.Labels;
}

async function refuseLarge(bytes: number): Promise<void> {
  if (bytes <= limits.smallFileBytes) return;
  throw new BuilderError('IMAGE_INVALID', `/${MANIFEST_IN_IMAGE} of the image has ${bytes} bytes`, {
    remedy: 'do not trust this image: no manifest is that large',
  });
}

function moved(found: string, { sourceName, sourceId }: RecordedInputs, from: string | undefined): BuilderError {
  return new BuilderError(
    'SOURCE_MOVED',
    `${from ?? sourceName} is the image ${found} now; the release image was built from ${sourceId}`,
    { remedy: 'name the image it was built from, by its digest: --from REPOSITORY@sha256:…' },
  );
}
