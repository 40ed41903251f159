import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

describe('scripts/setup', () => {
  let checkout: string;

  const run = (script: string, ...args: string[]) =>
    spawnSync(join(checkout, 'scripts', script), args, {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ENCLAVER_CACHE: join(checkout, 'cache') },
    });

  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'enclaver-setup-'));
    cpSync(join(ROOT, 'scripts'), join(checkout, 'scripts'), { recursive: true });
    cpSync(join(ROOT, 'enclaver.lock.json'), join(checkout, 'enclaver.lock.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  });

  afterEach(() => {
    rmSync(checkout, { recursive: true, force: true });
  });

  it('--check reports what is missing, fails and writes nothing', () => {
    const { status, stderr } = run('setup', '--check', '--only', 'build');
    assert.equal(status, 1);
    assert.match(stderr, /missing: guest kernels, libraries or Node/);
    assert.equal(existsSync(join(checkout, 'cache')), false);
  });

  it('refuses a group it does not know, by name', () => {
    const { status, stderr } = run('setup', '--check', '--only', 'runtime,everything');
    assert.equal(status, 1);
    assert.match(stderr, /not "everything"/);
  });

  it('refuses a lock file of another shape instead of reading half of it', () => {
    writeFileSync(
      join(checkout, 'enclaver.lock.json'),
      JSON.stringify({ x86_64: { kernel: [{ package: 'linux-image-x' }] } }),
    );
    for (const [script, ...args] of [['setup', '--check', '--only', 'build'], ['paths']] as const) {
      const { status, stderr } = run(script, ...args);
      assert.equal(status, 1, script);
      assert.match(stderr, /has not the shape that scripts\/lock writes/);
    }
  });

  it('takes a file with other bytes for missing', () => {
    const pinned = spawnSync(join(ROOT, 'scripts/paths'), { encoding: 'utf8' }).stdout;
    const cache = /^ENCLAVER_CACHE=(.*)$/m.exec(pinned)?.[1] ?? '';
    for (const part of ['headers', 'kbuild', 'kernel', 'libs', 'musl', 'node']) {
      cpSync(join(cache, part), join(checkout, 'cache', part), { recursive: true });
    }
    assert.equal(run('setup', '--check', '--only', 'build').status, 0);
    const libs = /^ENCLAVER_LIBS=([^:]*)/m.exec(run('paths').stdout)?.[1] ?? '';
    writeFileSync(join(libs, 'libc.so.6'), 'other bytes');
    assert.equal(run('setup', '--check', '--only', 'build').status, 1);
  });

  for (const arch of ['x86_64', 'aarch64']) {
    it(`paths names what the lock file pins for ${arch}`, () => {
      const lock = JSON.parse(readFileSync(join(checkout, 'enclaver.lock.json'), 'utf8'))[arch] as {
        kernel: { package: string }[];
        libs: { package: string; version: string }[];
      };
      const { stdout } = run('paths', arch);
      const cache = join(checkout, 'cache');
      assert.ok(stdout.includes(`ENCLAVER_ARCH=${arch}\n`));
      assert.ok(stdout.includes('ENCLAVER_PINNED=yes\n'));
      const release = lock.kernel[0]?.package.replace('linux-image-', '');
      assert.ok(stdout.includes(`ENCLAVER_KERNEL=${cache}/kernel/${release}\n`));
      const folders = lock.libs.map(({ package: name, version }) => `${cache}/libs/${name}_${version}_${arch}`);
      assert.ok(stdout.includes(`ENCLAVER_LIBS=${folders.join(':')}\n`));
    });
  }

  it('takes for the second opinion only a QEMU that says it has the machine', () => {
    const folder = join(checkout, 'cache/qemu-nitro');
    mkdirSync(folder, { recursive: true });
    for (const [machines, expected] of [
      ['microvm  nitro-enclave in words only', /missing: QEMU with nitro-enclave/],
      ['nitro-enclave        AWS Nitro Enclave', /ok: QEMU with nitro-enclave/],
    ] as const) {
      writeFileSync(join(folder, 'qemu-system-x86_64'), `#!/bin/sh\necho '${machines}'\n`, { mode: 0o755 });
      assert.match(run('setup', '--check', '--only', 'test').stderr, expected);
    }
  });

  it('paths refuses an architecture that no enclave runs on', () => {
    const { status, stderr } = run('paths', 'riscv64');
    assert.equal(status, 1);
    assert.match(stderr, /no enclave runs on riscv64; known are x86_64 aarch64/);
  });

  it('the lock file pins the Node that package.json names, for both', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'enclaver.lock.json'), 'utf8'));
    const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    for (const arch of ['x86_64', 'aarch64']) {
      const [node] = lock[arch].node;
      assert.equal(node.version, optionalDependencies[node.package], arch);
    }
  });

  it('paths names what was taken where a pinned version has left the mirror, and says so', () => {
    const lock = readFileSync(join(checkout, 'enclaver.lock.json'), 'utf8');
    const folder = join(checkout, 'cache/substitutes');
    mkdirSync(folder, { recursive: true });
    const other = lock.replace(/linux-image-[^"]*/, 'linux-image-6.12.999-cloud-amd64');
    writeFileSync(join(folder, `${createHash('sha256').update(lock).digest('hex')}.json`), other);
    const { stdout } = run('paths');
    assert.ok(stdout.includes('ENCLAVER_PINNED=no\n'));
    assert.ok(stdout.includes('ENCLAVER_KERNEL_RELEASE=6.12.999-cloud-amd64\n'));
  });
});
