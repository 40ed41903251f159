import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { CHECKOUT, sha256Of } from './pinned.ts';
import { runTool } from './run-tool.ts';

/**
 * `odyn/compiled.lock.json`: the bytes of what a compiler or strip makes for the inside of an enclave. Set-up pins what it
 * fetches, but the machine's own compiler makes these: with another one they, and so PCR0 and PCR1, may differ.
 */
const LOCK = join(CHECKOUT, 'odyn/compiled.lock.json');

const COMPILED = ['init', 'odyn/launch', 'odyn/node', 'odyn/vsock.node'];

const lockSchema = z.object({ toolchain: z.array(z.string()), parts: z.record(z.string(), z.string()) });

interface Part {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Paths of the compiled parts whose bytes are not those that the checkout records. */
export async function differingParts(parts: readonly Part[]): Promise<string[]> {
  const lock = lockSchema.parse(JSON.parse(await readFile(LOCK, 'utf8')));
  const hashes = compiledHashes(parts);
  return COMPILED.filter((path) => lock.parts[path] !== hashes[path]);
}

/** Records the parts as this machine's tools made them. */
export async function writeCompiledLock(parts: readonly Part[]): Promise<void> {
  const toolchain: string[] = [];
  for (const tool of ['gcc', 'ld', 'strip']) {
    const [version] = (await runTool(tool, ['--version'], CHECKOUT, 'scripts/setup')).split('\n');
    toolchain.push(version ?? tool);
  }
  await writeFile(LOCK, `${JSON.stringify({ toolchain, parts: compiledHashes(parts) }, undefined, 2)}\n`);
}

function compiledHashes(parts: readonly Part[]): Record<string, string> {
  return Object.fromEntries(
    parts.filter(({ path }) => COMPILED.includes(path)).map(({ path, data }) => [path, sha256Of(data)]),
  );
}
