/**
 * `node --random-seed=1 --predictable code-cache-maker.ts PROGRAM CACHE FILENAME`: compiles a program without running it
 * and writes V8's code cache. Runs in the pinned Node: its version is part of the cache. What else this process loads
 * shows in the cache, too: it imports nothing of ours.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const [input, output, filename] = process.argv.slice(2);
if (input === undefined || output === undefined || filename === undefined) {
  throw new Error(
    'needs the paths of the program and of the cache to write, and the name that the program is run under',
  );
}
// All functions at once: what V8 compiles at first call otherwise is missing in the cache and costs time in the enclave
setFlagsFromString('--no-lazy');
const script = new Script(readFileSync(input, 'latin1'), { filename });
// Flags are part of the cache: back to those that odyn runs with
setFlagsFromString('--lazy');
writeFileSync(output, script.createCachedData());
