import { createHash } from 'node:crypto';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MACHINE_ARCH } from './arch.ts';
import { compilerFingerprint } from './compile-c.ts';
import { CHECKOUT, type Pinned, sha256Of } from './pinned.ts';

/** Everything in the checkout that a runtime is made from; `package-lock.json` stands for all of `node_modules`. */
const SOURCES = [
  'odyn/{build,init,kernel,native,src}/**/*.{c,h,ts}',
  'odyn/kernel/Kbuild',
  'libs/*/src/**/*.ts',
  'package.json',
  'package-lock.json',
];

/** One SHA-256 over all that decides the bytes of a runtime: same value, same bytes. */
export async function inputsFingerprint(
  pinned: Pinned,
  toolchain: readonly string[],
  options: { entry: string; addons: Readonly<Record<string, string>> },
): Promise<string> {
  const hash = createHash('sha256');
  const add = (name: string, value: string) => hash.update(JSON.stringify([name, value]));
  const paths: string[] = [];
  for await (const path of glob(SOURCES, { cwd: CHECKOUT })) {
    paths.push(path);
  }
  for (const path of paths.sort()) {
    add(path, sha256Of(await readFile(join(CHECKOUT, path))));
  }
  for (const path of [options.entry, ...Object.values(options.addons)]) {
    add(path, sha256Of(await readFile(path).catch(() => Buffer.alloc(0))));
  }
  for (const [name, file] of [['kernel', pinned.kernel] as const, ...pinned.modules, ...pinned.libraries]) {
    add(name, file.sha256);
  }
  add('node', pinned.node.sha256);
  add('compiler', [...toolchain, compilerFingerprint(pinned)].join('\n'));
  // Only there the code cache can be made
  add('kernel headers', [...(pinned.headers?.sha256 ?? []), ...pinned.kbuild.sha256].join());
  add('native', String(pinned.arch === MACHINE_ARCH));
  return hash.digest('hex');
}
