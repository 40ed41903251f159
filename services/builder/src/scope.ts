import type { Manifest } from '@enclaver/manifest';
import { BuilderError } from './builder-error.ts';

interface Unsupported {
  section: string;
  /** Key to look for in the text. */
  key: string;
  remedy: string;
}

/**
 * Refuses what a manifest may say but this release cannot keep: an enclave that lacks what its manifest promises would be
 * measured with that promise inside. Throws NOT_IN_THIS_RELEASE.
 */
export function checkScope(manifest: Manifest, text: string, file: string): void {
  const unsupported = find(manifest);
  if (unsupported === undefined) return;
  const line = lineOf(text, unsupported.key);
  const where = line === undefined ? file : `${file}:${line}`;
  throw new BuilderError(
    'NOT_IN_THIS_RELEASE',
    `${where}: the manifest has ${unsupported.section}, which this release of Enclaver does not carry yet`,
    { remedy: unsupported.remedy },
  );
}

function find(manifest: Manifest): Unsupported | undefined {
  const remove = (section: string, key: string): Unsupported => ({
    section,
    key,
    remedy: `take ${section} out of the manifest, or build with a release that has it (see CHANGELOG.md)`,
  });
  if (manifest.spire !== undefined) return remove('spire', 'spire');
  if (manifest.sources.odyn !== undefined) {
    return {
      section: 'sources.odyn (supervisor)',
      key: '(?:odyn|supervisor)',
      remedy: 'take the key out: the runtime inside the enclave is the one of this release',
    };
  }
  return undefined;
}

/** The first line with the key. The manifest is valid YAML by now, so that only a comment or a text could mislead. */
function lineOf(text: string, key: string): number | undefined {
  const pattern = new RegExp(`^[^#]*?(?:^|[\\s{,-])["']?${key}["']?\\s*:`);
  const index = text.split('\n').findIndex((line) => pattern.test(line));
  return index === -1 ? undefined : index + 1;
}
