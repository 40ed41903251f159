import { join } from 'node:path';
import { type Arch, MACHINE_ARCH } from './arch.ts';
import { findPinned, type Pinned, readPinned } from './pinned.ts';
import { runTool } from './run-tool.ts';
import { TOOL_REMEDY, tool } from './toolchain.ts';

/** Source folder of the C programs. */
export const C_SOURCES = join(import.meta.dirname, '../init');

/** The C programs of the enclave, each with the sources it is made of. */
export const C_PROGRAMS = {
  init: [
    'main.c',
    'mount.c',
    'modules.c',
    'net.c',
    'cmdline.c',
    'entropy.c',
    'heartbeat.c',
    'reap.c',
    'out-of-memory.c',
    'crash-status.c',
    'log.c',
  ],
  launch: ['launch.c', 'fail.c', 'confine.c', 'cgroup.c'],
  redirect: ['redirect.c'],
} as const;

export const C_FLAGS = [
  '-std=c11',
  '-D_GNU_SOURCE',
  '-Os',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wshadow',
  '-Wconversion',
  '-Wstrict-prototypes',
  '-fstack-protector-strong',
  '-ffunction-sections',
  '-fdata-sections',
  // As on x86_64: arm64's plain char has no sign
  '-fsigned-char',
];

/** Position-independent and static, with start files that are named: gcc's own are those of its C library, not musl's. */
const LINK_START = ['-fPIE', '-static', '-nostdlib', '-Wl,-pie,--no-dynamic-linker,--hash-style=both,-z,text'];
const LINK_END = ['-Wl,--build-id=none,--gc-sections,-z,relro,-z,now,-z,noexecstack'];

/** Compilers write their package's revision into `.comment`; a cross compiler's is another one than a native one's. */
const STRIP = ['--strip-all', '--remove-section=.comment'];

/**
 * Compiles C sources (paths relative to `folder`) with the pinned musl to a static program `output`; the same bytes
 * wherever `folder` lies.
 */
export async function compileC(
  folder: string,
  sources: readonly string[],
  output: string,
  arch: Arch = MACHINE_ARCH,
): Promise<void> {
  const { musl } = await findPinned(arch);
  await Promise.all([...musl.files.values()].map((file) => readPinned(file)));
  const gcc = tool(arch, 'gcc');
  const own = (await runTool(gcc, ['-print-file-name=include'], folder, TOOL_REMEDY)).trim();
  const args = [
    ...C_FLAGS,
    `-ffile-prefix-map=${folder}=.`,
    ...['-nostdinc', '-isystem', join(musl.folder, 'include'), '-isystem', own],
    ...LINK_START,
    ...['rcrt1.o', 'crti.o'].map((name) => join(musl.folder, name)),
    ...sources,
    ...[join(musl.folder, 'crtn.o'), '-Wl,--start-group', '-lgcc', join(musl.folder, 'libc.a'), '-Wl,--end-group'],
    ...LINK_END,
  ];
  await runTool(gcc, [...args, '-o', output], folder, TOOL_REMEDY);
  await runTool(tool(arch, 'strip'), [...STRIP, output], folder, TOOL_REMEDY);
}

/** What decides the compiled bytes besides sources and tools, as text for a fingerprint. */
export function compilerFingerprint({ musl }: Pinned): string {
  const hashes = [...musl.files.values()].map(({ sha256 }) => sha256);
  return [...C_FLAGS, ...LINK_START, ...LINK_END, ...STRIP, ...hashes, musl.includeSha256].join('\n');
}
