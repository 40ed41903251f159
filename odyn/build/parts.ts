import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CpioEntry, S_IFDIR, S_IFREG } from '@enclaver/eif';
import { type Arch, INTERPRETER_FOLDER, tripletOf } from './arch.ts';
import { BuildError } from './build-error.ts';
import { bundle } from './bundle.ts';
import { C_PROGRAMS, C_SOURCES, compileC } from './compile-c.ts';
import { compileKernelModule } from './kernel-module.ts';
import { loadedProgram } from './loader.ts';
import { type Pinned, readPinned } from './pinned.ts';
import { runTool } from './run-tool.ts';
import { TOOL_REMEDY, tool } from './toolchain.ts';

/** A file of the runtime: its path in ramdisk 0, permission bits, content. */
export interface Part {
  path: string;
  mode: number;
  data: Buffer;
}

/** Our own kernel module: x86_64 alone, since arm64 has its devices from the device tree (docs/decisions/0014). */
const OWN_MODULE = 'virtio_mmio_devices.ko';

/** The parameter on the kernel's command line that init hands to it. */
const OWN_PARAMETER = 'virtio_mmio.device';

/** The kernel's modules in the order in which they must be loaded. */
const MODULES = [
  'virtio_mmio.ko',
  'vsock.ko',
  'vmw_vsock_virtio_transport_common.ko',
  'vmw_vsock_virtio_transport.ko',
  'nsm.ko',
] as const;

/** Folders that init mounts on. */
const MOUNT_POINTS = ['dev', 'proc', 'run', 'sys', 'tmp'] as const;

/** The program interpreter has a place of its own; all other libraries are in Debian's search path. */
const INTERPRETER = /^ld-linux-/;

const SYMBOL_VERSION = /\b(?:GLIBC|GLIBCXX|CXXABI|GCC)_[0-9]+(?:\.[0-9]+)*\b/g;

export interface PartSources {
  pinned: Pinned;
  /** The program that `/odyn/odyn.js` starts. */
  entry: string;
  /** The compiled addons by their paths in ramdisk 0. */
  addons: Readonly<Record<string, string>>;
}

/** Everything that ramdisk 0 holds; `scratch` is a folder for what compilers write. */
export async function collectParts(sources: PartSources, scratch: string): Promise<Part[]> {
  const { pinned } = sources;
  const making = [
    compiled(pinned.arch, 'init', 'init', scratch),
    compiled(pinned.arch, 'launch', 'odyn/launch', scratch),
    compiled(pinned.arch, 'redirect', 'odyn/redirect', scratch),
    strippedNode(pinned, scratch),
    ...Object.entries(sources.addons).map(([path, file]) => addon(pinned, path, file)),
    ...MODULES.map((name) => module(pinned, name)),
    ...(pinned.headers === undefined ? [] : [ownModule(pinned, scratch)]),
    ...[...pinned.libraries].map(async ([name, file]): Promise<Part> => {
      const folder = INTERPRETER.test(name) ? INTERPRETER_FOLDER[pinned.arch] : `lib/${tripletOf(pinned.arch)}`;
      return { path: `${folder}/${name}`, mode: 0o755, data: await readPinned(file) };
    }),
  ];
  // All of them, when one fails, too: who then takes `scratch` away must not meet a compiler at work
  await Promise.allSettled(making);
  const parts = await Promise.all(making);
  const own = pinned.headers === undefined ? [] : [`${OWN_MODULE} ${OWN_PARAMETER}`];
  const order = Buffer.from([...own, ...MODULES].map((line) => `${line}\n`).join(''));
  return [...parts, ...(await program(sources, scratch)), { path: 'modules/order', mode: 0o644, data: order }];
}

async function compiled(arch: Arch, program: keyof typeof C_PROGRAMS, path: string, scratch: string): Promise<Part> {
  const output = join(scratch, program);
  await compileC(C_SOURCES, C_PROGRAMS[program], output, arch);
  return { path, mode: 0o755, data: await readFile(output) };
}

async function program(sources: PartSources, scratch: string): Promise<Part[]> {
  const files = await loadedProgram(await bundle(sources.entry), sources.pinned, scratch);
  return [...files].map(([path, data]) => ({ path, mode: 0o644, data }));
}

/** Symbols and debug notes are a fifth of the file, which lies in memory twice while the kernel unpacks it. */
async function strippedNode(pinned: Pinned, scratch: string): Promise<Part> {
  const input = join(scratch, 'node');
  await writeFile(input, await readPinned(pinned.node));
  await runTool(tool(pinned.arch, 'strip'), ['--strip-all', 'node'], scratch, TOOL_REMEDY);
  return { path: 'odyn/node', mode: 0o755, data: await readFile(input) };
}

async function addon(pinned: Pinned, path: string, file: string): Promise<Part> {
  let data: Buffer;
  try {
    data = await readFile(file);
  } catch (cause) {
    throw new BuildError('INPUT_MISSING', `cannot read the addon ${file}`, { cause, remedy: 'npm run build' });
  }
  await checkSymbolVersions(pinned, path, data);
  return { path, mode: 0o755, data };
}

/** A compiler on a newer system links against symbols that the pinned libraries lack; that would show only inside. */
async function checkSymbolVersions(pinned: Pinned, path: string, program: Buffer): Promise<void> {
  const needed = new Set(program.toString('latin1').match(SYMBOL_VERSION));
  for (const file of pinned.libraries.values()) {
    for (const found of (await readPinned(file)).toString('latin1').match(SYMBOL_VERSION) ?? []) {
      needed.delete(found);
    }
  }
  if (needed.size > 0) {
    throw new BuildError(
      'ADDON_TOO_NEW',
      `the addon ${path} needs ${[...needed].join(', ')}, which the enclave's libraries do not have`,
      { remedy: 'build it on a system with an older C library (Debian 12), or pin newer libraries' },
    );
  }
}

async function module(pinned: Pinned, name: string): Promise<Part> {
  const file = pinned.modules.get(name);
  if (file === undefined) {
    throw new BuildError('INPUT_MISSING', `the lock file lists no module ${name}`, {
      remedy: 'write it again with scripts/lock',
    });
  }
  return { path: `modules/${name}`, mode: 0o644, data: await readPinned(file) };
}

async function ownModule(pinned: Pinned, scratch: string): Promise<Part> {
  const folder = join(scratch, 'linux');
  await mkdir(folder);
  return { path: `modules/${OWN_MODULE}`, mode: 0o644, data: await compileKernelModule(pinned, folder) };
}

/** The archive's entries: folders before what is in them, all in the order of their path bytes, all owned by root. */
export function entriesOf(parts: readonly Part[]): CpioEntry[] {
  const folders = new Set<string>(MOUNT_POINTS);
  for (const { path } of parts) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      folders.add(path.slice(0, slash));
    }
  }
  const entries: (CpioEntry & { path: string })[] = [
    ...[...folders].map((path) => ({ path, mode: S_IFDIR | 0o755 })),
    ...parts.map(({ path, mode, data }) => ({ path, mode: S_IFREG | mode, data })),
  ];
  return entries.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}
