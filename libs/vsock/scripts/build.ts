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

/** Node's names of the architectures, and the compilers under names that Debian machines of either kind have. */
const compilers = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' };

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
const reproducible = [
  `-ffile-prefix-map=${root}=.`,
  `-ffile-prefix-map=${dirname(nodeApi)}=.`,
  '-Wl,--build-id=none',
  '-s',
];
const sanitizing = ['-g', '-fsanitize=address,undefined', '-fno-omit-frame-pointer'];

async function compile(compiler: string, name: string, more: readonly string[]): Promise<void> {
  const output = join(root, 'build', name);
  const partial = `${output}.${process.pid}`;
  const args = [...flags, ...more, '-I', nodeApi, '-I', nodeHeaders, '-o', partial, ...sources];
  const child = spawn(compiler, args, { cwd: root, stdio: 'inherit' });
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${compiler} failed`);
  renameSync(partial, output); // a process that has the old file loaded keeps it
}

/** Over all that decides the bytes; the packages' descriptions, which name their versions, stand for their headers. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const files = [...native.map((name) => join(root, name)), import.meta.filename, nodeApiPackage, nodePackage];
  for (const file of files) hash.update(readFileSync(file)).update('\0');
  for (const gcc of Object.values(compilers)) hash.update(versionOf(gcc));
  return hash.digest('hex');
}

function versionOf(compiler: string): Buffer {
  try {
    return execFileSync(compiler, ['--version']);
  } catch (cause) {
    throw new Error(`the C compiler ${compiler} could not be started; scripts/setup --only build`, { cause });
  }
}

mkdirSync(join(root, 'build'), { recursive: true });
if (process.argv.includes('--sanitize')) {
  await compile('gcc', 'vsock-asan.node', sanitizing);
} else {
  const stamp = join(root, 'build/inputs');
  const inputs = fingerprint();
  const targets = Object.entries(compilers).map(([arch, gcc]) => ({ gcc, name: `vsock-${arch}.node` }));
  const there = [...targets.map(({ name }) => join(root, 'build', name)), stamp].every((path) => existsSync(path));
  if (!there || readFileSync(stamp, 'utf8') !== inputs) {
    await Promise.all(targets.map(({ gcc, name }) => compile(gcc, name, [...hardening, ...reproducible])));
    writeFileSync(stamp, inputs);
  }
}
