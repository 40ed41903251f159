import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Arch, MACHINE_ARCH } from './arch.ts';
import type { Pinned } from './pinned.ts';
import { runTool } from './run-tool.ts';

/** What init starts: hands the program and its code cache to V8. */
export const LOADER_PATH = 'odyn/odyn.js';
/** The bundled program, as the text of a function with CommonJS's five parameters. */
export const PROGRAM_PATH = 'odyn/program.js';
export const CACHE_PATH = 'odyn/program.cache';

const loader = (options: string, after: string) => `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const script = new Script(readFileSync('/${PROGRAM_PATH}', 'latin1'), {
  filename: '/${PROGRAM_PATH}',${options}
});${after}
script.runInThisContext()(exports, require, module, __filename, __dirname);
`;

const PLAIN_LOADER = loader('', '');

/**
 * V8 refuses a cache of another V8 or of other flags. odyn then starts all the same, only slower, and says so:
 * somebody has put together parts that do not belong together.
 */
const CACHED_LOADER = loader(
  `\n  cachedData: readFileSync('/${CACHE_PATH}'),`,
  "\nif (script.cachedDataRejected) console.error('odyn: V8 refused the code cache of this bundle');",
);

/** The architectures whose runtime has a code cache. Only a Node that runs can make one: docs/decisions/0007-architectures.md. */
const CACHED: readonly Arch[] = ['x86_64'];

/** Whether the runtime is one that should have a code cache, made on a machine that cannot make it. */
export function lacksCodeCache(arch: Arch): boolean {
  return CACHED.includes(arch) && arch !== MACHINE_ARCH;
}

export interface LoadedProgram {
  loader: Buffer;
  program: Buffer;
  cache?: Buffer;
}

/** Wraps a bundle (ASCII only) into a program, where possible with a code cache. docs/decisions/0003-code-cache.md says why and how. */
export async function loadedProgram(bundle: Buffer, pinned: Pinned, scratch: string): Promise<LoadedProgram> {
  const program = Buffer.concat([
    Buffer.from('(function(exports,require,module,__filename,__dirname){'),
    bundle,
    Buffer.from('\n})\n'),
  ]);
  if (!CACHED.includes(pinned.arch) || pinned.arch !== MACHINE_ARCH) {
    return { loader: Buffer.from(PLAIN_LOADER), program };
  }
  await writeFile(join(scratch, 'program.js'), program);
  const maker = join(import.meta.dirname, 'code-cache-maker.ts');
  // Without a fixed seed V8 draws hashes at random, and they show in the cache
  const args = ['--random-seed=1', '--predictable', maker, 'program.js', 'program.cache', `/${PROGRAM_PATH}`];
  await runTool(pinned.node.path, args, scratch, 'run npm ci');
  return { loader: Buffer.from(CACHED_LOADER), program, cache: await readFile(join(scratch, 'program.cache')) };
}
