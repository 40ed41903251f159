import { cp, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MACHINE_ARCH } from './arch.ts';
import { BuildError } from './build-error.ts';
import { findPinned, type Pinned } from './pinned.ts';
import { runTool } from './run-tool.ts';
import { TOOL_REMEDY, tool } from './toolchain.ts';

/** Folder of the kernel module's sources and its Kbuild file. */
export const KERNEL_MODULE_SOURCES = join(import.meta.dirname, '../kernel');

/** What Linux calls the architecture, and the prefix of its compiler. */
const LINUX_ARCH = { x86_64: 'x86' } as const;

/** Debug information names folders of this machine, and its BTF needs the whole vmlinux; the kernel asks for neither. */
const WITHOUT_DEBUG = ['CONFIG_DEBUG_INFO=', 'CONFIG_DEBUG_INFO_BTF=', 'CONFIG_DEBUG_INFO_BTF_MODULES='];

/**
 * Compiles the module `virtio_mmio_devices.ko` for the pinned kernel in the empty folder `scratch`, with Linux's own makefiles;
 * the same bytes wherever that lies. Linux wants one source tree and one tree of its configuration: links put them together.
 */
export async function compileKernelModule(pinned: Pinned, scratch: string): Promise<Buffer> {
  const { arch, headers, kernelRelease } = pinned;
  if (headers === undefined || arch !== 'x86_64') throw new Error(`no kernel module for ${arch}`);
  const [configured, common] = headers.folders;
  // A module of another release would not load
  if (!basename(configured).startsWith(`linux-headers-${kernelRelease}_`)) {
    throw new BuildError(
      'INPUT_CHANGED',
      `${basename(configured)} are not the headers of the kernel ${kernelRelease}`,
      {
        remedy: 'pin the headers of the same release in enclaver.lock.json and run scripts/lock',
      },
    );
  }
  // Linux's programs run on this machine, whatever they compile for
  const { kbuild } = await findPinned(MACHINE_ARCH);
  const source = join(scratch, 'source');
  const output = join(scratch, 'output');
  await link([common, kbuild.folder], source);
  await link([configured, kbuild.folder], output);
  const module = join(scratch, 'module');
  await cp(KERNEL_MODULE_SOURCES, module, { recursive: true });
  const variables = [`ARCH=${LINUX_ARCH[arch]}`, `CC=${tool(arch, 'gcc')}`, `LD=${tool(arch, 'ld')}`];
  const others = [`OBJCOPY=${tool(arch, 'objcopy')}`, `KERNELRELEASE=${kernelRelease}`, ...WITHOUT_DEBUG];
  const args = ['-s', '-C', source, `O=${output}`, `M=${module}`, ...variables, ...others, 'modules'];
  await runTool('make', args, scratch, TOOL_REMEDY);
  const file = join(module, 'virtio_mmio_devices.ko');
  await runTool(tool(arch, 'strip'), ['--strip-debug', '--remove-section=.comment', file], scratch, TOOL_REMEDY);
  return readFile(file);
}

/** A folder with links to everything in the others. */
async function link(folders: readonly string[], to: string): Promise<void> {
  await mkdir(to);
  for (const folder of folders) {
    for (const name of await readdir(folder)) await symlink(join(folder, name), join(to, name));
  }
}
