import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Arch } from './arch.ts';
import { BuildError } from './build-error.ts';
import { runTool } from './run-tool.ts';

/** Root of the checkout. */
export const CHECKOUT = join(import.meta.dirname, '../..');

const SETUP = 'run scripts/setup';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const packages = z
  .array(
    z.object({
      package: z.string(),
      version: z.string(),
      files: z.array(z.object({ path: z.string(), sha256 })).min(1),
    }),
  )
  .min(1);
const archSchema = z.object({
  kernel: packages.length(1),
  headers: packages.length(2).optional(),
  kbuild: packages.length(1),
  libs: packages,
  musl: packages.length(1),
  node: packages.length(1),
});

/** `enclaver.lock.json`: what set-up fetched for the inside of an enclave, file by file, for each architecture. */
const lockSchema = z.object({ format: z.literal(2), x86_64: archSchema, aarch64: archSchema });

/** A file whose bytes are known before it is read. */
export interface PinnedFile {
  path: string;
  sha256: string;
}

/** The pinned things of one architecture on this machine. */
export interface Pinned {
  arch: Arch;
  /** False if set-up had to take other versions than the checkout's: everything measured from them differs. */
  asPublished: boolean;
  kernelRelease: string;
  kernel: PinnedFile;
  /** By file name, `vsock.ko`. */
  modules: Map<string, PinnedFile>;
  /** What a kernel module is compiled with: the configured headers and the common ones. Only where we have a module. */
  headers: { folders: readonly [string, string]; sha256: readonly string[] } | undefined;
  /** Linux's makefiles and build programs, which run on this architecture. */
  kbuild: { folder: string; sha256: readonly string[] };
  /** By file name, `libc.so.6`. */
  libraries: Map<string, PinnedFile>;
  /** The C library of init and launch: its files by name, and its headers in `include`. */
  musl: { folder: string; files: Map<string, PinnedFile>; includeSha256: string };
  nodeVersion: string;
  node: PinnedFile;
}

/** Reads where set-up put the pinned files; opens none of them. */
export async function findPinned(arch: Arch): Promise<Pinned> {
  const output = await runTool(join(CHECKOUT, 'scripts/paths'), [arch], CHECKOUT, SETUP);
  const paths = new Map(
    output.split('\n').map((line): [string, string] => {
      const [name = '', ...value] = line.split('=');
      return [name, value.join('=')];
    }),
  );
  const lockPath = settled(paths, 'ENCLAVER_LOCK');
  const lock = lockSchema.parse(JSON.parse(await readFile(lockPath, 'utf8')))[arch];
  const kernelFiles = filesOf(lock.kernel, [settled(paths, 'ENCLAVER_KERNEL')]);
  const muslFolder = settled(paths, 'ENCLAVER_MUSL');
  const muslFiles = filesOf(lock.musl, [muslFolder]);
  const include = take(muslFiles, 'include/', lockPath);
  muslFiles.delete('include/');
  return {
    arch,
    asPublished: settled(paths, 'ENCLAVER_PINNED') === 'yes',
    kernelRelease: settled(paths, 'ENCLAVER_KERNEL_RELEASE'),
    kernel: take(kernelFiles, 'vmlinuz', lockPath),
    modules: new Map(
      [...kernelFiles]
        .filter(([path]) => path.startsWith('modules/'))
        .map(([path, file]) => [path.slice('modules/'.length), file]),
    ),
    headers: headersOf(lock.headers, settled(paths, 'ENCLAVER_HEADERS').split(':')),
    kbuild: { folder: settled(paths, 'ENCLAVER_KBUILD'), sha256: hashesOf(lock.kbuild) },
    libraries: filesOf(lock.libs, settled(paths, 'ENCLAVER_LIBS').split(':')),
    musl: { folder: muslFolder, files: muslFiles, includeSha256: include.sha256 },
    nodeVersion: lock.node[0]?.version ?? '',
    node: take(filesOf(lock.node, [settled(paths, 'ENCLAVER_NODE')]), 'bin/node', lockPath),
  };
}

/** The files of packages by their path in their package, whose folders are given in the same order. */
function filesOf(found: z.infer<typeof packages>, folders: readonly string[]): Map<string, PinnedFile> {
  return new Map(
    found.flatMap(({ files }, index) =>
      files.map((file) => [file.path, { ...file, path: join(folders[index] ?? '', file.path) }]),
    ),
  );
}

function hashesOf(found: z.infer<typeof packages>): string[] {
  return found.flatMap(({ files }) => files.map(({ sha256 }) => sha256));
}

function headersOf(found: z.infer<typeof packages> | undefined, folders: readonly string[]): Pinned['headers'] {
  const [configured, common] = folders;
  if (found === undefined || configured === undefined || common === undefined) return undefined;
  return { folders: [configured, common], sha256: hashesOf(found) };
}

function take(files: Map<string, PinnedFile>, path: string, lock: string): PinnedFile {
  const file = files.get(path);
  if (file === undefined) {
    throw new BuildError('INPUT_MISSING', `${lock} lists no ${path}`, { remedy: 'write it again with scripts/lock' });
  }
  return file;
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
