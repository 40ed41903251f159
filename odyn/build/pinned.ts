import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BuildError } from './build-error.ts';
import { runTool } from './run-tool.ts';

/** Root of the checkout. */
export const CHECKOUT = join(import.meta.dirname, '../..');

const SETUP = 'run scripts/setup';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const packages = z.array(
  z.object({
    package: z.string(),
    version: z.string(),
    files: z.array(z.object({ path: z.string(), sha256 })).min(1),
  }),
);

/** `enclaver.lock.json`: what set-up fetched for the inside of an enclave, file by file. */
const lockSchema = z.object({
  format: z.literal(1),
  arch: z.literal('x86_64'),
  kernel: packages.length(1),
  libs: packages.min(1),
  node: z.object({ package: z.string(), version: z.string(), path: z.string(), sha256 }),
});

/** A file whose bytes are known before it is read. */
export interface PinnedFile {
  path: string;
  sha256: string;
}

/** The pinned things on this machine. */
export interface Pinned {
  /** False if set-up had to take other versions than the checkout's: everything measured from them differs. */
  asPublished: boolean;
  kernelRelease: string;
  kernel: PinnedFile;
  /** By file name, `vsock.ko`. */
  modules: Map<string, PinnedFile>;
  /** By file name, `libc.so.6`. */
  libraries: Map<string, PinnedFile>;
  nodeVersion: string;
  node: PinnedFile;
}

/** Reads where set-up put the pinned files; opens none of them. */
export async function findPinned(): Promise<Pinned> {
  const output = await runTool(join(CHECKOUT, 'scripts/paths'), [], CHECKOUT, SETUP);
  const paths = new Map(
    output.split('\n').map((line): [string, string] => {
      const [name = '', ...value] = line.split('=');
      return [name, value.join('=')];
    }),
  );
  const lockPath = settled(paths, 'ENCLAVER_LOCK');
  const lock = lockSchema.parse(JSON.parse(await readFile(lockPath, 'utf8')));
  const kernelFolder = settled(paths, 'ENCLAVER_KERNEL');
  const cache = settled(paths, 'ENCLAVER_CACHE');
  const kernelFiles = new Map(
    lock.kernel
      .flatMap(({ files }) => files)
      .map((file) => [file.path, { ...file, path: join(kernelFolder, file.path) }]),
  );
  const kernel = kernelFiles.get('vmlinuz');
  if (kernel === undefined) {
    throw new BuildError('INPUT_MISSING', `${lockPath} lists no vmlinuz`, {
      remedy: 'write it again with scripts/lock',
    });
  }
  const modules = new Map<string, PinnedFile>();
  for (const [path, file] of kernelFiles) {
    if (path.startsWith('modules/')) {
      modules.set(path.slice('modules/'.length), file);
    }
  }
  const libraries = new Map<string, PinnedFile>();
  for (const { package: name, version, files } of lock.libs) {
    for (const file of files) {
      libraries.set(file.path, { ...file, path: join(cache, 'libs', `${name}_${version}`, file.path) });
    }
  }
  return {
    asPublished: settled(paths, 'ENCLAVER_PINNED') === 'yes',
    kernelRelease: settled(paths, 'ENCLAVER_KERNEL_RELEASE'),
    kernel,
    modules,
    libraries,
    nodeVersion: lock.node.version,
    node: { path: join(CHECKOUT, 'node_modules', lock.node.package, lock.node.path), sha256: lock.node.sha256 },
  };
}

function settled(paths: Map<string, string>, name: string): string {
  const value = paths.get(name);
  if (value === undefined) {
    throw new BuildError('INPUT_MISSING', `scripts/paths names no ${name}`, { remedy: SETUP });
  }
  return value;
}

/** Reads a pinned file; refuses other bytes than the lock file names. */
export async function readPinned(file: PinnedFile): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file.path);
  } catch (cause) {
    throw new BuildError('INPUT_MISSING', `cannot read ${file.path}`, { cause, remedy: SETUP });
  }
  const found = sha256Of(bytes);
  if (found !== file.sha256) {
    throw new BuildError(
      'INPUT_CHANGED',
      `${file.path} has SHA-256 ${found}, the lock file names ${file.sha256}: measurements would differ from everybody else's`,
      { remedy: SETUP },
    );
  }
  return bytes;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
