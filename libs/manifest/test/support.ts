import { ManifestError, type ManifestProblem, parseManifest } from '../src/index.ts';

/** The smallest manifest, with more lines behind it. */
export const minimal = (more = ''): string =>
  `version: v1\nname: app\ntarget: app:enclave\nsources:\n  app: app:1\n${more}`;

/** The problems that a manifest is refused for. */
export function problemsOf(source: string | Uint8Array): readonly ManifestProblem[] {
  return refusalOf(source).problems;
}

export function refusalOf(source: string | Uint8Array): ManifestError {
  try {
    parseManifest(source);
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
  throw new Error('the manifest was accepted');
}
