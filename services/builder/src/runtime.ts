import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Arch, readCpio, S_IFMT, S_IFREG } from '@enclaver/eif';
import * as z from 'zod';
import { BuilderError } from './builder-error.ts';
import { limits } from './limits.ts';
import { readFileAhead } from './read-ahead.ts';

/** `runtime.json`: what `npm run build` says of the runtime it made. */
const runtimeSchema = z.object({
  arch: z.enum(['x86_64', 'aarch64']),
  enclaverVersion: z.string(),
  kernelVersion: z.string(),
  nodeVersion: z.string(),
  toolchain: z.array(z.string()),
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
  arch: Arch;
  /** Path of the kernel's file. */
  kernel: string;
  /** The command line itself. */
  cmdline: string;
  /** Path of ramdisk 0. */
  ramdisk: string;
  /** Of kernel and ramdisk together. */
  bytes: number;
  enclaverVersion: string;
  /** The kernel's release, `6.12.95+deb12-amd64`. */
  kernelVersion: string;
  /** Of the Node inside, `24.21.0`. */
  nodeVersion: string;
  /** Compiler, linker and strip that made the compiled parts, each as it names itself. */
  toolchain: readonly string[];
}

const REMEDY = '`npm run build` makes the runtimes of both architectures; ENCLAVER_RUNTIME names their folder';

/**
 * Reads the runtime for `arch` in `root`, a folder with one folder per architecture, and checks that its ramdisk holds
 * exactly the files that its `runtime.json` names. Throws RUNTIME_MISSING, RUNTIME_INVALID.
 */
export async function loadRuntime(root: string, arch: Arch): Promise<Runtime> {
  const folder = join(root, arch);
  const kernel = join(folder, 'kernel');
  const ramdisk = join(folder, 'ramdisk0.cpio');
  const description = runtimeSchema.safeParse(parseJson(await readSmall(folder, 'runtime.json')));
  if (!description.success) {
    throw new BuilderError('RUNTIME_INVALID', `runtime.json of ${folder}: ${z.prettifyError(description.error)}`, {
      remedy: REMEDY,
    });
  }
  const { parts, ...versions } = description.data;
  if (versions.arch !== arch) throw broken(folder, `its runtime.json is for ${versions.arch}`);
  const cmdline = (await readSmall(folder, 'cmdline')).toString('utf8').trim();
  const kernelBytes = await sizeOf(folder, 'kernel');
  if (kernelBytes > limits.kernelBytes) throw broken(folder, 'its kernel is too large to be one');
  const bytes = kernelBytes + (await sizeOf(folder, 'ramdisk0.cpio'));
  await checkParts(folder, ramdisk, new Map(parts.map((part) => [part.path.replace(/^\/+/, ''), part.sha256])));
  return { ...versions, kernel, cmdline, ramdisk, bytes };
}

async function checkParts(folder: string, ramdisk: string, expected: Map<string, string>): Promise<void> {
  const missing = new Set(expected.keys());
  for await (const entry of readCpio(readFileAhead(ramdisk))) {
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
  const arch = basename(folder);
  return new BuilderError('RUNTIME_MISSING', `the enclave runtime for ${arch} is not in ${folder}: it has no ${name}`, {
    remedy: REMEDY,
    cause,
  });
}
