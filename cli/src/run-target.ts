import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseManifest } from '@enclaver/manifest';
import { CliError } from './cli-error.ts';

/** What `enclaver run` runs: an EIF on this machine, or a release image that has one inside. */
export type RunTarget = { eif: string; image?: undefined } | { eif?: undefined; image: string };

/** Errors: `USAGE`, `EIF_NOT_FOUND`, `MANIFEST_UNREADABLE` and those of the manifest. */
export async function runTargetOf(image: string | undefined, manifest: string | undefined): Promise<RunTarget> {
  if (image !== undefined && manifest !== undefined) {
    throw new CliError('USAGE', 'an image and -f were given', 'give one of them');
  }
  if (image === undefined) return { image: await targetOfManifest(manifest ?? 'enclaver.yaml') };
  const isFile = await stat(image).then(
    (stats) => stats.isFile(),
    () => false,
  );
  if (isFile) return { eif: resolve(image) };
  if (image.endsWith('.eif') || image.startsWith('/') || image.startsWith('.')) {
    throw new CliError('EIF_NOT_FOUND', `there is no file ${image}`, 'build it: enclaver build --eif-only <path>');
  }
  return { image };
}

async function targetOfManifest(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(
      'MANIFEST_UNREADABLE',
      `no image was given, and the manifest ${file} cannot be read: ${(cause as Error).message}`,
      'name an image, an EIF, or a manifest with -f',
      { cause },
    );
  }
  return parseManifest(text, { file }).target;
}
