import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pinned } from './pinned.ts';
import { runTool } from './run-tool.ts';

/** What init starts: hands the program and its code cache to V8. */
export const LOADER_PATH = 'odyn/odyn.js';
/** The bundled program, as the text of a function with CommonJS's five parameters. */
export const PROGRAM_PATH = 'odyn/program.js';
export const CACHE_PATH = 'odyn/program.cache';

/**
 * V8 refuses a cache of another V8 or of other flags. odyn then starts all the same, only slower, and says so:
 * somebody has put together parts that do not belong together.
 */
const LOADER = `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const script = new Script(readFileSync('/${PROGRAM_PATH}', 'latin1'), {
  filename: '/${PROGRAM_PATH}',
  cachedData: readFileSync('/${CACHE_PATH}'),
});
if (script.cachedDataRejected) console.error('odyn: V8 refused the code cache of this bundle');
script.runInThisContext()(exports, require, module, __filename, __dirname);
`;

export interface LoadedProgram {
  loader: Buffer;
  program: Buffer;
  cache: Buffer;
}

/** Wraps a bundle (ASCII only) into a program with a code cache. docs/decisions/0003-code-cache.md says why and how. */
export async function withCodeCache(bundle: Buffer, pinned: Pinned, scratch: string): Promise<LoadedProgram> {
  const program = Buffer.concat([
    Buffer.from('(function(exports,require,module,__filename,__dirname){'),
    bundle,
    Buffer.from('\n})\n'),
  ]);
  await writeFile(join(scratch, 'program.js'), program);
  const maker = join(import.meta.dirname, 'code-cache-maker.ts');
  // Without a fixed seed V8 draws hashes at random, and they show in the cache
  const args = ['--random-seed=1', '--predictable', maker, 'program.js', 'program.cache'];
  await runTool(pinned.node.path, args, scratch, 'run npm ci');
  return { loader: Buffer.from(LOADER), program, cache: await readFile(join(scratch, 'program.cache')) };
}
