import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Arch, MACHINE_ARCH } from './arch.ts';
import { MAIN } from './bundle.ts';
import type { Pinned } from './pinned.ts';
import { runTool } from './run-tool.ts';

/** What init starts: hands the program's files and their code caches to V8. */
export const LOADER_PATH = 'odyn/odyn.js';
/** The bundled program: each file is the text of a function with CommonJS's five parameters, its code cache beside it. */
const FOLDER = 'odyn/program';
const CACHE = '.cache';
export const MAIN_CACHE_PATH = `${FOLDER}/${MAIN}${CACHE}`;

const loader = (options: string, after: string) => `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const loaded = new Map();
function load(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  loaded.set(name, module);
  const path = '/${FOLDER}/' + name;
  const script = new Script(readFileSync(path, 'latin1'), { filename: path${options} });${after}
  const requireBeside = (id) => (id.startsWith('./') ? load(id.slice(2)) : require(id));
  script.runInThisContext()(module.exports, requireBeside, module, path, '/${FOLDER}');
  return module.exports;
}
load('${MAIN}');
`;

const PLAIN_LOADER = loader('', '');

/**
 * V8 refuses a cache of another V8 or of other flags. odyn then starts all the same, only slower, and says so:
 * somebody has put together parts that do not belong together.
 */
const CACHED_LOADER = loader(
  `, cachedData: readFileSync(path + '${CACHE}')`,
  "\n  if (script.cachedDataRejected) console.error('odyn: V8 refused the code cache of ' + path);",
);

/** The architectures whose runtime has a code cache. Only a Node that runs can make one: docs/decisions/0007-architectures.md. */
const CACHED: readonly Arch[] = ['x86_64'];

/** Whether the runtime is one that should have a code cache, made on a machine that cannot make it. */
export function lacksCodeCache(arch: Arch): boolean {
  return CACHED.includes(arch) && arch !== MACHINE_ARCH;
}

/**
 * A bundle (ASCII only) as the files of ramdisk 0, by path: the loader, the program and where possible its code caches.
 * docs/decisions/0003-code-cache.md says why and how.
 */
export async function loadedProgram(
  bundle: ReadonlyMap<string, Buffer>,
  pinned: Pinned,
  scratch: string,
): Promise<Map<string, Buffer>> {
  const cached = CACHED.includes(pinned.arch) && pinned.arch === MACHINE_ARCH;
  const files = new Map([[LOADER_PATH, Buffer.from(cached ? CACHED_LOADER : PLAIN_LOADER)]]);
  for (const [name, code] of bundle) {
    const start = Buffer.from('(function(exports,require,module,__filename,__dirname){');
    files.set(`${FOLDER}/${name}`, Buffer.concat([start, code, Buffer.from('\n})\n')]));
  }
  if (!cached) return files;
  const folder = join(scratch, 'program');
  await mkdir(folder);
  const names = [...bundle.keys()];
  for (const name of names) await writeFile(join(folder, name), files.get(`${FOLDER}/${name}`) ?? '');
  const maker = join(import.meta.dirname, 'code-cache-maker.ts');
  // Without a fixed seed V8 draws hashes at random, and they show in the cache
  const args = ['--random-seed=1', '--predictable', maker, `/${FOLDER}`, CACHE, ...names];
  await runTool(pinned.node.path, args, folder, 'run npm ci');
  for (const name of names) files.set(`${FOLDER}/${name}${CACHE}`, await readFile(join(folder, name + CACHE)));
  return files;
}
