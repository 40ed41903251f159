import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readCpio, S_IFMT, S_IFREG } from '@enclaver/eif';
import * as z from 'zod';
import { BuilderError } from './builder-error.ts';
import { limits } from './limits.ts';

/** `runtime.json`: what `npm run build` says of the runtime it made. */
const runtimeSchema = z.object({
  arch: z.literal('x86_64'),
  enclaverVersion: z.string(),
  kernelVersion: z.string(),
  nodeVersion: z.string(),
  parts: z.array(
    z.object({
      path: z.string(),
      size: z.number().int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      mode: z.number().int(),
    }),
  ),
});

/** The part of every image that is Enclaver itself: kernel, command line and ramdisk 0. */
export interface Runtime {
  kernel: string;
  cmdline: string;
  ramdisk: string;
  enclaverVersion: string;
  kernelVersion: string;
}

const REMEDY = 'make it with `npm run build`, or point ENCLAVER_RUNTIME at a folder that holds one';

/** Reads a runtime folder and checks that its ramdisk holds exactly the files that `runtime.json` names. Throws RUNTIME_MISSING, RUNTIME_INVALID. */
export async function loadRuntime(folder: string): Promise<Runtime> {
  const kernel = join(folder, 'kernel');
  const ramdisk = join(folder, 'ramdisk0.cpio');
  const description = runtimeSchema.safeParse(parseJson(await readSmall(folder, 'runtime.json')));
  if (!description.success) {
    throw new BuilderError('RUNTIME_INVALID', `runtime.json of ${folder}: ${z.prettifyError(description.error)}`, {
      remedy: REMEDY,
    });
  }
  const { parts, enclaverVersion, kernelVersion } = description.data;
  const cmdline = (await readSmall(folder, 'cmdline')).toString('utf8').trim();
  if ((await sizeOf(folder, 'kernel')) > limits.kernelBytes) throw broken(folder, 'its kernel is too large to be one');
  await sizeOf(folder, 'ramdisk0.cpio');
  await checkParts(folder, ramdisk, new Map(parts.map((part) => [part.path.replace(/^\/+/, ''), part.sha256])));
  return { kernel, cmdline, ramdisk, enclaverVersion, kernelVersion };
}

async function checkParts(folder: string, ramdisk: string, expected: Map<string, string>): Promise<void> {
  const missing = new Set(expected.keys());
  for await (const entry of readCpio(createReadStream(ramdisk, { highWaterMark: limits.readBytes }))) {
    const path = entry.path.toString('utf8');
    if ((entry.mode & S_IFMT) !== S_IFREG) continue;
    const hash = createHash('sha256');
    for await (const chunk of entry.data) hash.update(chunk);
    if (hash.digest('hex') !== expected.get(path)) {
      throw broken(folder, `${path} in ramdisk0.cpio is not the one that runtime.json names`);
    }
    missing.delete(path);
  }
  const [lacking] = missing;
  if (lacking !== undefined) throw broken(folder, `ramdisk0.cpio lacks ${lacking}, which runtime.json names`);
}

async function sizeOf(folder: string, name: string): Promise<number> {
  try {
    const stats = await stat(join(folder, name));
    return stats.size;
  } catch (cause) {
    throw missingPart(folder, name, cause);
  }
}

async function readSmall(folder: string, name: string): Promise<Buffer> {
  if ((await sizeOf(folder, name)) > limits.smallFileBytes) throw broken(folder, `its ${name} is too large`);
  return readFile(join(folder, name));
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BuilderError('RUNTIME_INVALID', 'runtime.json is not JSON', { remedy: REMEDY, cause });
  }
}

function broken(folder: string, why: string): BuilderError {
  return new BuilderError('RUNTIME_INVALID', `the enclave runtime in ${folder} is damaged: ${why}`, { remedy: REMEDY });
}

function missingPart(folder: string, name: string, cause: unknown): BuilderError {
  return new BuilderError('RUNTIME_MISSING', `the enclave runtime is not in ${folder}: it has no ${name}`, {
    remedy: REMEDY,
    cause,
  });
}
