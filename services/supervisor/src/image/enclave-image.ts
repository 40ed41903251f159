import { type Eif, readCpio, readEif, verifySignature } from '@enclaver/eif';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '@enclaver/manifest';
import {
  LAUNCH_PATH,
  type LaunchDescription,
  launchDescriptionSchema,
  MANIFEST_PATH,
  ROOTFS_PATH,
} from '@enclaver/wire';
import * as z from 'zod';
import { SupervisorError } from '../supervisor-error.ts';

/** An image that was read, measured and found to be one of ours. */
export interface EnclaveImage {
  eif: Eif;
  manifest: Manifest;
  launch: LaunchDescription;
}

/** Argv and environment of an image; container engines hold a configuration to some 4 MiB. */
const MAX_LAUNCH_BYTES = 4 * 1024 * 1024;

/** Reads and checks an image, the dates of its signature's certificate too. Errors: those of `readEif` and `parseManifest`; `EIF_NOT_FOUND`, `EIF_NO_MANIFEST`, `LAUNCH_INVALID`. */
export async function readImage(path: string): Promise<EnclaveImage> {
  const eif = await readEif(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'EACCES') throw cause;
    throw new SupervisorError('EIF_NOT_FOUND', `${path} cannot be read by the supervisor: ${cause.message}`, { cause });
  });
  if (eif.signature !== undefined) verifySignature(eif, { at: new Date() });
  const manifestPath = `${ROOTFS_PATH}/${MANIFEST_PATH}`;
  const files = await findFiles(eif, { [manifestPath]: MAX_MANIFEST_BYTES, [LAUNCH_PATH]: MAX_LAUNCH_BYTES });
  const manifest = files.get(manifestPath);
  const launch = files.get(LAUNCH_PATH);
  if (manifest === undefined || launch === undefined) {
    throw new SupervisorError(
      'EIF_NO_MANIFEST',
      `${path} holds no ${manifest === undefined ? manifestPath : LAUNCH_PATH} in its second ramdisk`,
      { remedy: 'build the image with `enclaver build`' },
    );
  }
  return { eif, manifest: parseManifest(manifest, { file: `${path}:${manifestPath}` }), launch: parseLaunch(launch) };
}

/** Files of the app's ramdisk, the second, in one pass. When a path comes twice the later one counts, as for Linux. */
async function findFiles(eif: Eif, wanted: Record<string, number>): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const ramdisk = eif.sections.filter(({ type }) => type === 'ramdisk')[1];
  if (ramdisk === undefined) return found;
  for await (const entry of readCpio(eif.data(ramdisk))) {
    const path = entry.path.toString('utf8');
    const max = Object.hasOwn(wanted, path) ? wanted[path] : undefined;
    if (max === undefined) continue;
    if (entry.size > max) {
      throw new SupervisorError('EIF_NO_MANIFEST', `${path} has ${entry.size} bytes, at most ${max} are allowed`);
    }
    const parts: Buffer[] = [];
    for await (const part of entry.data) parts.push(Buffer.from(part));
    found.set(path, Buffer.concat(parts));
  }
  return found;
}

function parseLaunch(bytes: Buffer): LaunchDescription {
  const remedy = 'build the image again with this version';
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new SupervisorError('LAUNCH_INVALID', `${LAUNCH_PATH} is not JSON`, { cause, remedy });
  }
  const result = launchDescriptionSchema.safeParse(json);
  if (!result.success) {
    throw new SupervisorError('LAUNCH_INVALID', `${LAUNCH_PATH}: ${z.prettifyError(result.error)}`, { remedy });
  }
  return result.data;
}
