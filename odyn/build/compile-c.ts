import { join } from 'node:path';
import { runTool } from './run-tool.ts';

/** Source folder of the C programs. */
export const C_SOURCES = join(import.meta.dirname, '../init');

/** The C programs of the enclave, each with the sources it is made of. */
export const C_PROGRAMS = {
  init: ['main.c', 'mount.c', 'modules.c', 'net.c', 'cmdline.c', 'heartbeat.c', 'reap.c', 'crash-status.c', 'log.c'],
  launch: ['launch.c'],
} as const;

/** Where Debian's and Ubuntu's musl-dev keep the C library and its start files. */
const MUSL = '/usr/lib/x86_64-linux-musl';

const FLAGS = [
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
];

/**
 * Position-independent and static. musl-gcc has no `-static-pie`: its start file for that, rcrt1.o, has to be named,
 * and with it the others.
 */
const LINK_START = [
  '-fPIE',
  '-static',
  '-nostartfiles',
  '-Wl,-pie,--no-dynamic-linker,-z,text',
  join(MUSL, 'rcrt1.o'),
  join(MUSL, 'crti.o'),
];
const LINK_END = [join(MUSL, 'crtn.o'), '-Wl,--build-id=none,--gc-sections,-z,relro,-z,now,-z,noexecstack', '-s'];

const REMEDY = 'apt-get install gcc musl-tools';

/** Compiles C sources (paths relative to `folder`) to a static program `output`; the same bytes wherever `folder` lies. */
export async function compileC(folder: string, sources: readonly string[], output: string): Promise<void> {
  const here = `-ffile-prefix-map=${folder}=.`;
  await runTool('musl-gcc', [...FLAGS, here, ...LINK_START, ...sources, ...LINK_END, '-o', output], folder, REMEDY);
}

/** What decides the compiled bytes besides the sources, as text for a fingerprint. */
export async function compilerFingerprint(): Promise<string> {
  const version = await runTool('musl-gcc', ['--version'], C_SOURCES, REMEDY);
  return [version, ...FLAGS, ...LINK_START, ...LINK_END].join('\n');
}
