import { join } from 'node:path';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '@enclaver/manifest';
import { type LaunchDescription, launchDescriptionSchema, MANIFEST_PATH } from '@enclaver/wire';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';
import { findInRoot } from './in-root.ts';
import { readBounded } from './read-bounded.ts';

/** What the image says: both files are measured, the parent cannot change them. */
export interface Configuration {
  readonly manifest: Manifest;
  readonly launch: LaunchDescription;
}

/**
 * @throws OdynError FILE_UNREADABLE, LAUNCH_INVALID, NOT_IN_RELEASE
 * @throws ManifestError
 */
export function readConfiguration(root: string, launchDescription: string): Configuration {
  const path = findInRoot(root, MANIFEST_PATH) ?? join(root, MANIFEST_PATH);
  const manifest = parseManifest(readBounded(path, MAX_MANIFEST_BYTES), { file: `/${MANIFEST_PATH}` });
  refuseUnbuilt(manifest);
  return { manifest, launch: readLaunchDescription(launchDescription) };
}

/** What this release does not do is refused: an app that relies on it must not run without it. */
function refuseUnbuilt(manifest: Manifest): void {
  const sections = { spire: manifest.spire };
  for (const [name, section] of Object.entries(sections)) {
    if (section === undefined) continue;
    throw new OdynError('NOT_IN_RELEASE', `the manifest's section "${name}" is not in this release`, {
      remedy: `remove "${name}" from enclaver.yaml`,
    });
  }
}

function readLaunchDescription(path: string): LaunchDescription {
  const text = readBounded(path, limits.launchDescriptionBytes).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OdynError('LAUNCH_INVALID', `${path} is not JSON`, { cause });
  }
  const result = launchDescriptionSchema.safeParse(json);
  if (!result.success) throw new OdynError('LAUNCH_INVALID', `${path}: ${z.prettifyError(result.error)}`);
  return result.data;
}
