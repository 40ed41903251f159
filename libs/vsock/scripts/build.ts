// Compiles native/*.c into build/vsock-x64.node and build/vsock-arm64.node: same sources and compiler, same bytes, in any
// folder. `--sanitize` makes build/vsock-asan.node instead, for the machine's own tests under AddressSanitizer (see
// docs/relay.md).
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const root = join(import.meta.dirname, '..');
const nodeApiPackage = require.resolve('node-api-headers/package.json');
const nodeApi = join(dirname(nodeApiPackage), 'include');
// uv.h: the addon waits on descriptors in Node's own loop. The header is the same on every architecture.
const nodePackage = require.resolve(`node-linux-${process.arch}/package.json`);
const nodeHeaders = join(dirname(nodePackage), 'include', 'node');

/** Node's names of the architectures, and what the names of their compilers begin with on Debian machines of either kind. */
const triplets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

const native = readdirSync(join(root, 'native'))
  .sort()
  .map((name) => join('native', name));
const sources = native.filter((name) => name.endsWith('.c'));
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
const reproducible = [`-ffile-prefix-map=${root}=.`, `-ffile-prefix-map=${dirname(nodeApi)}=.`, '-Wl,--build-id=none'];
// Compilers write their package's revision into .comment; a cross compiler's is another one than a native one's.
const stripping = ['--strip-all', '--remove-section=.comment'];
const sanitizing = ['-g', '-fsanitize=address,undefined', '-fno-omit-frame-pointer'];

async function run(program: string, args: readonly string[]): Promise<void> {
  const [status] = await once(spawn(program, args, { cwd: root, stdio: 'inherit' }), 'exit');
  if (status !== 0) throw new Error(`${program} failed`);
}

/** Calls `make` with a temporary path and puts what it wrote in place: a process that has the old file loaded keeps it. */
async function replace(name: string, make: (partial: string) => Promise<void>): Promise<void> {
  const output = join(root, 'build', name);
  const partial = `${output}.${process.pid}`;
  await make(partial);
  renameSync(partial, output);
}

function compile(compiler: string, output: string, more: readonly string[]): Promise<void> {
  return run(compiler, [...flags, ...more, '-I', nodeApi, '-I', nodeHeaders, '-o', output, ...sources]);
}

/** Over all that decides the bytes; the packages' descriptions, which name their versions, stand for their headers. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const files = [...native.map((name) => join(root, name)), import.meta.filename, nodeApiPackage, nodePackage];
  for (const file of files) hash.update(readFileSync(file)).update('\0');
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

mkdirSync(join(root, 'build'), { recursive: true });
if (process.argv.includes('--sanitize')) {
  await replace('vsock-asan.node', (path) => compile('gcc', path, sanitizing));
} else {
  const stamp = join(root, 'build/inputs');
  const inputs = fingerprint();
  const targets = Object.entries(triplets).map(([arch, triplet]) => ({ triplet, name: `vsock-${arch}.node` }));
  const there = [...targets.map(({ name }) => join(root, 'build', name)), stamp].every((path) => existsSync(path));
  if (!there || readFileSync(stamp, 'utf8') !== inputs) {
    await Promise.all(
      targets.map(({ triplet, name }) =>
        replace(name, async (path) => {
          await compile(`${triplet}-gcc`, path, [...hardening, ...reproducible]);
          await run(`${triplet}-strip`, [...stripping, path]);
        }),
      ),
    );
    writeFileSync(stamp, inputs);
  }
}
