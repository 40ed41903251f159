/**
 * Has Node make what it keeps of the TypeScript that runs outside of enclaves: `node scripts/compile-cache.ts`, with the folder in
 * NODE_COMPILE_CACHE, else `dist/compile-cache`. A process that finds a source missing there loads the compiler, which takes
 * 20 MB for as long as it lives, and keeps its result only when it ends. Each user has a cache of its own in the folder.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = process.env.NODE_COMPILE_CACHE ?? join(root, 'dist/compile-cache');
const PROGRAM = /(?:^|[/-])(?:main|healthy)\.ts$/;
const PATIENCE_MS = 60_000;

const sources = globSync('{cli,libs/*,services/*}/src/**/*.ts', { cwd: root }).map((path) => join(root, path));

enableCompileCache(folder);
for (const source of sources.filter((path) => !PROGRAM.test(path))) await import(source);

// With nothing to work on they end once all is loaded, and say so with a status of their own
for (const program of sources.filter((path) => PROGRAM.test(path))) {
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: folder };
  const { error, signal } = spawnSync(process.execPath, [program], { env, stdio: 'ignore', timeout: PATIENCE_MS });
  if (error !== undefined || signal !== null) throw new Error(`${program} did not end`, { cause: error ?? signal });
}
