import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Bench } from './support.ts';

const packageRoot = join(import.meta.dirname, '..');
const child = (name: string): string => join(import.meta.dirname, 'children', name);

interface Outcome {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

function run(file: string, args: string[], options: { env?: NodeJS.ProcessEnv; limit?: string } = {}): Outcome {
  const env = options.env ?? process.env;
  const command = [process.execPath, child(file), ...args];
  const result = options.limit
    ? spawnSync('/bin/sh', ['-c', `ulimit -n ${options.limit}; exec "$@"`, 'sh', ...command], { env, timeout: 30_000 })
    : spawnSync(command[0] as string, command.slice(1), { env, timeout: 30_000 });
  const { status, signal } = result;
  return { status, signal, stdout: result.stdout.toString(), stderr: result.stderr.toString() };
}

describe('processes', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(async () => await bench.end());

  it('ends by itself when nothing is open, with an unclosed relay', function () {
    this.timeout(30_000);
    const { status, signal, stdout, stderr } = run('ends.ts', [bench.folder]);
    assert.deepEqual(
      { status, signal, stdout: stdout.trim(), stderr },
      { status: 0, signal: null, stdout: 'done', stderr: '' },
    );
  });

  it('survives process.exit(), and worker threads ended in the middle of traffic', function () {
    this.timeout(60_000);
    const { status, signal, stdout, stderr } = run('teardown.ts', [bench.folder]);
    assert.deepEqual(
      { status, signal, stdout: stdout.trim(), stderr },
      { status: 7, signal: null, stdout: 'leaving', stderr: '' },
    );
  });

  it('keeps its listeners through a lack of descriptors (D4)', function () {
    this.timeout(60_000);
    const { status, stdout, stderr } = run('descriptors.ts', [bench.folder], { limit: '64' });
    assert.equal(status, 0, stderr);
    const result = JSON.parse(stdout) as { acceptErrors: number; served: string; stream: string; socket: string };
    assert.ok(result.acceptErrors > 0);
    assert.deepEqual([result.served, result.stream, result.socket], ['relay lives', 'stream lives', 'socket lives']);
  });

  it('says ADDON_MISSING and what to do', () => {
    const env = { ...process.env, ENCLAVER_VSOCK_ADDON: bench.path('none.node') };
    const { status, stdout } = run('missing.ts', [], { env });
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), { code: 'ADDON_MISSING', remedy: 'npm run build' });
  });

  it('builds the same addons from the same source in any folder', function () {
    this.timeout(120_000);
    const checkout = dirname(dirname(packageRoot));
    const hashes = ['one', 'a much longer name/two'].map((name) => {
      const folder = bench.path(name);
      for (const part of ['native', 'scripts', 'package.json'])
        cpSync(join(packageRoot, part), join(folder, 'libs/vsock', part), { recursive: true });
      mkdirSync(join(folder, 'scripts'));
      cpSync(join(checkout, 'scripts/native-addon.ts'), join(folder, 'scripts/native-addon.ts'));
      symlinkSync(join(checkout, 'node_modules'), join(folder, 'node_modules'));
      execFileSync(process.execPath, [join(folder, 'libs/vsock/scripts/build.ts')]);
      return ['x64', 'arm64'].map((arch) =>
        createHash('sha256')
          .update(readFileSync(join(folder, `libs/vsock/build/vsock-${arch}.node`)))
          .digest('hex'),
      );
    });
    assert.deepEqual(hashes[0], hashes[1]);
  });
});
