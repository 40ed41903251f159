/**
 * `node --random-seed=1 --predictable code-cache-maker.ts FOLDER SUFFIX NAME…`: compiles the programs of these names in the
 * working folder without running them, and writes V8's code cache of each beside it, under its name and the suffix. FOLDER is
 * where they will be run. In the pinned Node: its version is part of a cache. What else this process loads shows in a cache, too: it
 * imports nothing of ours.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const [folder, suffix, ...names] = process.argv.slice(2);
if (folder === undefined || suffix === undefined) {
  throw new Error('needs the folder that the programs are run in, the suffix of caches, and the names of the programs');
}
for (const name of names) {
  // All functions at once: what V8 compiles at first call otherwise is missing in the cache and costs time in the enclave
  setFlagsFromString('--no-lazy');
  const script = new Script(readFileSync(name, 'latin1'), { filename: `${folder}/${name}` });
  // Flags are part of the cache: back to those that odyn runs with
  setFlagsFromString('--lazy');
  writeFileSync(name + suffix, script.createCachedData());
}
