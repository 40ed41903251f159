import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver, start } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';

const root = new URL('../../', import.meta.url).pathname;
const base = 'enclaver-test/enclaver:e2e';
const image = 'enclaver-test/greeter:release';
const container = 'enclaver-test-release';

describe('a release image', function () {
  this.timeout(300_000);

  let work: string;
  const env = { ENCLAVER_BASE_IMAGE: base };

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    await docker([
      'build',
      '--target',
      'enclaver',
      '--build-arg',
      'BASE=enclaver-test/base:local',
      '--tag',
      base,
      root,
    ]);
    await docker(['build', '--tag', 'enclaver-test/traffic:e2e', join(root, 'test/e2e/traffic')]);
    await mkdir(join(work, 'greeter'));
    await writeFile(
      join(work, 'greeter', 'enclaver.yaml'),
      `version: v1\nname: greeter\ntarget: ${image}\nsources:\n  app: enclaver-test/traffic:e2e\n` +
        'defaults: { cpu_count: 2, memory_mb: 1024 }\ningress:\n  - listen_port: 8080\n',
    );
  });

  after(async () => {
    await docker(['rm', '--force', container]);
    await docker(['rmi', '--force', image, base]);
    await rm(work, { recursive: true });
  });

  it('is built, twice with the same id, and printed as the original prints it', async () => {
    const args = ['build', '-f', join(work, 'greeter', 'enclaver.yaml')];
    const text = await enclaver(args, env);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, new RegExp(`^Built Release Image: sha256:[0-9a-f]{64} \\(${image}\\)\nEIF Info:\n\\{`));
    const json = await enclaver([...args, '-o', 'json'], env);
    const summary = JSON.parse(json.stdout);
    assert.equal(summary.Image.Name, image);
    assert.ok(text.stdout.includes(summary.Image.ID), 'the second build gave another image');
    assert.match(summary.Measurements.PCR0, /^[0-9a-f]{96}$/);
  });

  it('runs by `enclaver run IMAGE`, if it measures as was approved', async () => {
    const approved = join(work, 'approved.json');
    const trust = await enclaver(['trust', image, '-o', 'json']);
    assert.equal(trust.code, 0, trust.stderr);
    await writeFile(approved, trust.stdout);
    const port = await freePort();
    const run = start(['run', image, '-p', `127.0.0.1:${port}:8080`, '--verify-before-run', approved]);
    await run.seen(/ ready/);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello');
    await fetch(`http://127.0.0.1:${port}/exit?code=4`);
    assert.equal((await run.finished).code, 4);
  });

  it('is not started if it measures otherwise', async () => {
    const other = join(work, 'other.json');
    await writeFile(other, JSON.stringify({ PCR0: 'ab'.repeat(48) }));
    const { code, stdout, stderr } = await enclaver(['run', image, '--verify-before-run', other]);
    assert.equal(code, 110, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /^error\[MEASUREMENTS_DIFFER\].*PCR0/m);
    assert.doesNotMatch(stderr, /requested|launching/);
  });

  it('heeds a stop that comes while its container still starts the stack', async () => {
    await docker(['run', '--detach', '--name', container, image]);
    try {
      while (!(await docker(['top', container])).includes('nats-server')) await sleep(20);
      await docker(['stop', '--time', '60', container]);
      assert.equal((await docker(['wait', container])).trim(), '109');
    } finally {
      await docker(['rm', '--force', container]);
    }
  });

  it('runs as a container that starts the whole stack, with the exit code of the app', async () => {
    const port = await freePort();
    await docker(['run', '--detach', '--name', container, '--publish', `127.0.0.1:${port}:8080`, image]);
    const url = `http://127.0.0.1:${port}/`;
    while ((await answerOf(url)) !== 'hello') {
      const state = await docker(['inspect', '--format', '{{.State.Status}}', container]);
      assert.equal(state.trim(), 'running', await docker(['logs', container]));
      await sleep(200);
    }
    await fetch(`${url}exit?code=6`);
    assert.equal((await docker(['wait', container])).trim(), '6');
  });
});

async function answerOf(url: string): Promise<string | undefined> {
  try {
    return await (await fetch(url)).text();
  } catch {
    // Not there yet: the container's port is open before anything behind it is
    return undefined;
  }
}
