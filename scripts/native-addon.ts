import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const checkout = join(import.meta.dirname, '..');
const nodeApiPackage = require.resolve('node-api-headers/package.json');
const nodeApi = join(dirname(nodeApiPackage), 'include');
// uv.h: an addon may wait on descriptors in Node's own loop. The header is the same on every architecture.
const nodePackage = require.resolve(`node-linux-${process.arch}/package.json`);
const nodeHeaders = join(dirname(nodePackage), 'include', 'node');

/** Node's names of the architectures, and what the names of their compilers begin with on Debian machines of either kind. */
const triplets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

const flags = [
  '-std=gnu17',
  '-O2',
  '-shared',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-pthread',
];
const hardening = ['-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack'];
const reproducible = [
  `-ffile-prefix-map=${checkout}=.`,
  `-ffile-prefix-map=${dirname(nodeApi)}=.`,
  '-Wl,--build-id=none',
];
// Compilers write their package's revision into .comment; a cross compiler's is another one than a native one's.
const stripping = ['--strip-all', '--remove-section=.comment'];
const SANITIZERS = {
  address: { suffix: 'asan', flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] },
  thread: { suffix: 'tsan', flags: ['-fsanitize=thread'] },
} as const;
export type Sanitizer = keyof typeof SANITIZERS;

export interface AddonSources {
  /** `<name>-x64.node` and `<name>-arm64.node` are made, or `<name>-asan.node`, or `<name>-tsan.node`. */
  name: string;
  /** Folder of the C files, from the checkout. */
  sources: string;
  /** More C files, from the checkout; their folders are searched for headers. */
  shared?: readonly string[];
  /** Folder of the results, from the checkout. */
  output: string;
}

/**
 * Compiles a native addon for both architectures: same sources and compiler, same bytes, in any folder. With a sanitizer for
 * this machine alone: AddressSanitizer with UBSan, or ThreadSanitizer (test/sanitizers).
 */
export async function buildAddon(addon: AddonSources, sanitizer?: Sanitizer): Promise<void> {
  const { name, sources, shared = [], output } = addon;
  const files = readdirSync(join(checkout, sources))
    .sort()
    .map((file) => join(sources, file));
  const c = [...files.filter((file) => file.endsWith('.c')), ...shared];
  const includes = [...new Set(shared.map((file) => dirname(file)))].flatMap((folder) => ['-I', folder]);
  const compile = (compiler: string, path: string, more: readonly string[]): Promise<void> =>
    run(compiler, [...flags, ...more, ...includes, '-I', nodeApi, '-I', nodeHeaders, '-o', path, ...c]);

  mkdirSync(join(checkout, output), { recursive: true });
  if (sanitizer !== undefined) {
    const { suffix, flags } = SANITIZERS[sanitizer];
    const more = ['-g', ...flags, '-fno-omit-frame-pointer'];
    await replace(join(output, `${name}-${suffix}.node`), (path) => compile('gcc', path, more));
    return;
  }
  const stamp = join(checkout, output, `${name}.inputs`);
  const headers = shared.map((file) => file.replace(/\.c$/, '.h'));
  const inputs = fingerprint([...files, ...shared, ...headers]);
  const targets = Object.entries(triplets).map(([arch, triplet]) => ({
    triplet,
    path: join(output, `${name}-${arch}.node`),
  }));
  const there = [...targets.map(({ path }) => join(checkout, path)), stamp].every((path) => existsSync(path));
  if (there && readFileSync(stamp, 'utf8') === inputs) return;
  await Promise.all(
    targets.map(({ triplet, path }) =>
      replace(path, async (partial) => {
        await compile(`${triplet}-gcc`, partial, [...hardening, ...reproducible]);
        await run(`${triplet}-strip`, [...stripping, partial]);
      }),
    ),
  );
  writeFileSync(stamp, inputs);
}

/** Of the arguments of a program that builds an addon: `--sanitize=address`, `--sanitize=thread` or none. */
export function sanitizerOf(args: readonly string[]): Sanitizer | undefined {
  return (Object.keys(SANITIZERS) as Sanitizer[]).find((name) => args.includes(`--sanitize=${name}`));
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const [status] = await once(spawn(program, args, { cwd: checkout, stdio: 'inherit' }), 'exit');
  if (status !== 0) throw new Error(`${program} failed`);
}

/** Calls `make` with a temporary path and puts what it wrote in place: a process that has the old file loaded keeps it. */
async function replace(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.${process.pid}`;
  await make(partial);
  renameSync(join(checkout, partial), join(checkout, path));
}

/** Over all that decides the bytes; the packages' descriptions, which name their versions, stand for their headers. */
function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of [...files.map((path) => join(checkout, path)), import.meta.filename, nodeApiPackage, nodePackage])
    hash.update(readFileSync(file)).update('\0');
  for (const triplet of Object.values(triplets)) {
    for (const tool of ['gcc', 'strip']) hash.update(versionOf(`${triplet}-${tool}`));
  }
  return hash.digest('hex');
}

function versionOf(program: string): Buffer {
  try {
    return execFileSync(program, ['--version']);
  } catch (cause) {
    throw new Error(`${program} could not be started: scripts/setup --only build`, { cause });
  }
}
