import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type ImageSpec, writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';
import { DockerRegistry } from '../stack/docker-registry.ts';
import { enclaver, start } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { TestStack } from '../stack/stack.ts';

const root = new URL('../../', import.meta.url).pathname;

/** `enclaver build` as a user has it, with the runtime that `npm run build` made. */
describe('enclaver build', function () {
  this.timeout(180_000);

  let work: string;
  let stack: TestStack;
  let registry: DockerRegistry;
  let manifest: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    registry = await DockerRegistry.start();
    stack = await TestStack.start({}, { ENCLAVER_BASE_IMAGE: `${registry.host}/base:1` });
    manifest = join(work, 'enclaver.yaml');
    await writeFile(
      manifest,
      `version: v1\nname: built\ntarget: ${registry.host}/built:1\nsources:\n  app: oci:./image\n`,
    );
    const layer = (content: string): Buffer => tar([{ name: 'bin/' }, { name: 'bin/app', mode: 0o755, content }]);
    const app = (content: string, more: Partial<ImageSpec> = {}): ImageSpec => ({
      layers: [layer(content)],
      config: { Entrypoint: ['/bin/app'] },
      ...more,
    });
    await writeOciLayout(join(work, 'image'), [
      { image: app('intel') },
      { image: app('arm', { architecture: 'arm64' }) },
    ]);
    await writeOciLayout(join(work, 'other'), [{ image: app('inte1') }]);
    const base = [{ image: app('base') }, { image: app('base', { architecture: 'arm64' }) }];
    await writeOciLayout(join(work, 'base'), [{ index: base, name: 'it' }]);
    await run('skopeo', [
      'copy',
      '-q',
      '--all',
      '--dest-tls-verify=false',
      `oci:${join(work, 'base')}:it`,
      `docker://${registry.host}/base:1`,
    ]);
  });

  after(async () => {
    await docker(['rmi', '--force', `${registry.host}/built:1`]);
    await stack[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  interface Summary {
    Sources: { App: { ID: string; Name?: string; Layers: string[] }; Sleeve?: { ID: string } };
    Measurements: Record<'PCR0' | 'PCR1' | 'PCR2', string>;
    Image?: {
      ID: string;
      Name: string;
      RepoDigest?: string;
      Digest: string;
      Layers: { Digest: string; Size: number }[];
    };
    EIF: { Path: string; Size: number; SHA256: string };
    Platform: string;
    Tools: { Enclaver: string; Kernel: string; Node: string };
    Checked?: boolean;
  }

  async function build(...args: string[]): Promise<Summary> {
    const finished = await enclaver(['build', '-f', manifest, '-o', 'json', ...args], stack.env);
    assert.equal(finished.code, 0, finished.stderr);
    return JSON.parse(finished.stdout);
  }

  const eif = (name: string): string => join(work, `${name}.eif`);

  it('tells in JSON what it made, of what, and with what', async () => {
    const summary = await build('--platform', 'linux/amd64', '--eif-only', eif('one'), '--check');
    assert.match(summary.Sources.App.ID, /^sha256:[0-9a-f]{64}$/);
    assert.equal(summary.Sources.App.Layers.length, 1);
    assert.equal(summary.EIF.Path, eif('one'));
    assert.equal(summary.EIF.Size, (await readFile(eif('one'))).length);
    assert.equal(summary.Platform, 'linux/amd64');
    assert.equal(summary.Checked, true);
    assert.match(summary.Tools.Kernel, /^6\..*amd64$/);
    assert.match(summary.Tools.Node, /^24\./);
    assert.equal(summary.Image, undefined);
  });

  it('builds for the other architecture, with that one’s kernel and runtime', async () => {
    const intel = await build('--platform', 'linux/amd64', '--eif-only', eif('intel'));
    const arm = await build('--platform', 'linux/arm64', '--eif-only', eif('arm'));
    assert.match(arm.Tools.Kernel, /arm64$/);
    assert.notEqual(arm.Measurements.PCR1, intel.Measurements.PCR1);
    const inspected = await enclaver(['eif', 'inspect', eif('arm'), '-o', 'json']);
    assert.equal(JSON.parse(inspected.stdout).Architecture, 'aarch64', inspected.stderr);
  });

  it('reads the manifest from stdin, and takes another image in place of the one it names', async () => {
    const args = ['build', '-f', '-', '--from', 'oci:./other', '--eif-only', 'stdin.eif', '-o', 'json'];
    const child = spawn(join(root, 'cli/bin/enclaver'), args, {
      cwd: work,
      env: { ...process.env, ...stack.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(await readFile(manifest));
    const [out] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const other = JSON.parse(out) as Summary;
    assert.equal(other.EIF.Path, eif('stdin'));
    const own = await build('--platform', 'linux/amd64', '--eif-only', eif('own'));
    assert.notEqual(other.Measurements.PCR0, own.Measurements.PCR0);
    assert.equal(other.Measurements.PCR1, own.Measurements.PCR1);
    assert.notEqual(other.Measurements.PCR2, own.Measurements.PCR2);
  });

  it('gives one digest on the host and in a container, at two dates', async () => {
    const here = await build('--platform', 'linux/amd64', '--eif-only', eif('here'));
    await mkdir(join(work, 'out'));
    const args = ['build', '-f', '/built/enclaver.yaml', '--platform', 'linux/amd64', '-o', 'json'];
    const there = await docker([
      'run',
      '--rm',
      '--network=none',
      `--volume=${root}:/enclaver:ro`,
      `--volume=${work}:/built`,
      'enclaver-test/base:local',
      '/enclaver/cli/bin/enclaver',
      ...args,
      '--eif-only',
      '/built/out/there.eif',
    ]);
    assert.equal((JSON.parse(there) as Summary).EIF.SHA256, here.EIF.SHA256);
    const then = await run('faketime', [
      '2031-05-06 07:08:09',
      join(root, 'cli/bin/enclaver'),
      ...args.with(2, manifest),
      '--eif-only',
      eif('then'),
    ]);
    assert.equal((JSON.parse(then) as Summary).EIF.SHA256, here.EIF.SHA256);
    assert.ok((await readFile(eif('then'))).equals(await readFile(join(work, 'out/there.eif'))));
  });

  it('pushes a release image, which can be built again from what it records', async () => {
    const pushed = await build('--platform', 'linux/arm64', '--push');
    assert.equal(pushed.Image?.RepoDigest, `${registry.host}/built@${pushed.Image?.Digest}`);
    assert.equal(pushed.Image?.Layers.length, 2);
    const again = await enclaver(['verify-build', pushed.Image?.RepoDigest ?? ''], stack.env);
    assert.equal(again.code, 1, 'the image records a path that starts from another folder');
    assert.match(again.stderr, /^error\[IMAGE_NOT_FOUND\]/m);
    const from = ['--from', `oci:${join(work, 'image')}`];
    const same = await enclaver(['verify-build', pushed.Image?.RepoDigest ?? '', ...from], stack.env);
    assert.equal(same.code, 0, same.stderr);
    assert.match(same.stdout, /^Verified: /m);
  });

  it('is cancelled by SIGINT, and keeps nothing', async () => {
    const files = Array.from({ length: 40_000 }, (_, n) => ({ name: `d/f${n}`, content: 'some bytes' }));
    await writeOciLayout(join(work, 'large'), [{ image: { layers: [tar(files)], config: { Cmd: ['/app'] } } }]);
    const before = await readdir(work);
    const running = start(
      ['build', '-f', manifest, '--from', `oci:${join(work, 'large')}`, '--eif-only', eif('no')],
      stack.env,
    );
    await running.seen(/^flatten/m);
    running.process.kill('SIGINT');
    const { code, stderr, stdout } = await running.finished;
    assert.equal(code, 109, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /cancelling/);
    assert.deepEqual(await readdir(work), before);
    assert.deepEqual(await readdir(join(stack.dataDir, 'work')), []);
  });

  it('refuses options that contradict each other, and names that are none', async () => {
    for (const args of [
      ['--push', '--eif-only', eif('no')],
      ['--from', 'Not A Name', '--eif-only', eif('no')],
      ['--platform', 'linux/s390x'],
    ]) {
      const { code, stderr } = await enclaver(['build', '-f', manifest, ...args], stack.env);
      assert.equal(code, 2, stderr);
    }
  });
});

async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert.equal(code, 0, `${program} ${args.join(' ')}`);
  return out;
}
