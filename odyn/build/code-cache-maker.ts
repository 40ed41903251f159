/**
 * `node --random-seed=1 --predictable code-cache-maker.ts PROGRAM CACHE`: compiles a program without running it and
 * writes V8's code cache. Runs in the pinned Node: its version is part of the cache.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { PROGRAM_PATH } from './loader.ts';

const [input, output] = process.argv.slice(2);
if (input === undefined || output === undefined) {
  throw new Error('needs the paths of the program and of the cache to write');
}
// All functions at once: what V8 compiles at first call otherwise is missing in the cache and costs time in the enclave
setFlagsFromString('--no-lazy');
const script = new Script(readFileSync(input, 'latin1'), { filename: `/${PROGRAM_PATH}` });
// Flags are part of the cache: back to those that odyn runs with
setFlagsFromString('--lazy');
writeFileSync(output, script.createCachedData());
