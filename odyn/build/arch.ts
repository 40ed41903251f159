import type { Arch } from '@enclaver/eif';

export type { Arch };

/** What enclaves run on; a runtime is made for each. */
export const ARCHES: readonly Arch[] = ['x86_64', 'aarch64'];

/** What this machine runs on. Anything else than arm64 fails at the first tool, which has the name of its architecture. */
export const MACHINE_ARCH: Arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Debian's name of the architecture's tools and library folders. */
export function tripletOf(arch: Arch): string {
  return `${arch}-linux-gnu`;
}

/** Node's own name of it. */
export const NODE_ARCH: Readonly<Record<Arch, string>> = { x86_64: 'x64', aarch64: 'arm64' };

/** Where programs look for their interpreter. */
export const INTERPRETER_FOLDER: Readonly<Record<Arch, string>> = { x86_64: 'lib64', aarch64: 'lib' };
