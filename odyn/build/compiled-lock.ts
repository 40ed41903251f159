import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Arch } from './arch.ts';
import { CHECKOUT, sha256Of } from './pinned.ts';

/**
 * `odyn/compiled.lock.json`: the bytes of what a compiler or strip makes for the inside of an enclave. Set-up pins what it
 * fetches, but the machine's own compiler makes these: with another one they, and so PCR0 and PCR1, may differ.
 */
const LOCK = join(CHECKOUT, 'odyn/compiled.lock.json');

const COMPILED = [
  'init',
  'modules/virtio_mmio_devices.ko',
  'odyn/launch',
  'odyn/node',
  'odyn/odyn.node',
  'odyn/redirect',
  'odyn/vsock.node',
];

const archSchema = z.object({ toolchain: z.array(z.string()), parts: z.record(z.string(), z.string()) });
const lockSchema = z.object({ x86_64: archSchema, aarch64: archSchema });

interface Part {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Paths of the compiled parts whose bytes are not those that the checkout records. */
export async function differingParts(arch: Arch, parts: readonly Part[]): Promise<string[]> {
  const recorded = (await readLock())[arch].parts;
  const hashes = compiledHashes(parts);
  return COMPILED.filter((path) => recorded[path] !== hashes[path]);
}

/** Records the parts as this machine's tools made them. */
export async function writeCompiledLock(arch: Arch, toolchain: string[], parts: readonly Part[]): Promise<void> {
  const lock = { ...(await readLock()), [arch]: { toolchain, parts: compiledHashes(parts) } };
  await writeFile(LOCK, `${JSON.stringify(lock, undefined, 2)}\n`);
}

async function readLock(): Promise<z.infer<typeof lockSchema>> {
  return lockSchema.parse(JSON.parse(await readFile(LOCK, 'utf8')));
}

function compiledHashes(parts: readonly Part[]): Record<string, string> {
  return Object.fromEntries(
    parts.filter(({ path }) => COMPILED.includes(path)).map(({ path, data }) => [path, sha256Of(data)]),
  );
}
