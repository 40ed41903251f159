import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver, start } from '../stack/enclaver.ts';
import { TestStack } from '../stack/stack.ts';
import { buildEnclave } from './build-image.ts';

/** An app that ends in one way, built on busybox. */
function dockerfile(...command: string[]): string {
  return `FROM enclaver-test/busybox:local\nENTRYPOINT ${JSON.stringify(command)}\n`;
}

describe('how an enclave ends', function () {
  this.timeout(240_000);

  let work: string;
  let stack: TestStack;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  const build = async (name: string, ...command: string[]) => {
    const built = await buildEnclave({
      work,
      name,
      context: { dockerfile: dockerfile(...command) },
      manifest: 'defaults: { cpu_count: 1, memory_mb: 768 }\n',
      env: stack.env,
    });
    return built.eif;
  };

  it('with the exit code of the app: 0, its last line shown', async () => {
    const eif = await build('exit-zero', 'sh', '-c', 'echo first; echo second >&2; printf last');
    const { code, stdout, stderr } = await enclaver(['run', eif], stack.env);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'first\nlast\n');
    assert.match(stderr, /^second$/m);
  });

  it('with the exit code of the app: 3', async () => {
    const { code, stderr } = await enclaver(['run', await build('exit-three', 'sh', '-c', 'exit 3')], stack.env);
    assert.equal(code, 3, stderr);
  });

  it('with 107 when a signal killed the app, and its name', async () => {
    const { code, stderr } = await enclaver(['run', await build('killed', 'sh', '-c', 'kill -KILL $$')], stack.env);
    assert.equal(code, 107, stderr);
    assert.match(stderr, /exited: killed by SIGKILL/);
  });

  it('with 108 when the app cannot be started, and why', async () => {
    const { code, stderr } = await enclaver(['run', await build('no-such', '/no/such/program')], stack.env);
    assert.equal(code, 108, stderr);
    assert.match(stderr, /failed: .*\/no\/such\/program/);
  });

  it('with 1 when its machine is killed, as an event on the bus; the record keeps it', async () => {
    // It listens long before the build is done
    const events = start(['events', '-o', 'json'], stack.env);
    const eif = await build('lost', 'sh', '-c', 'echo up; sleep 600');
    const run = start(['run', eif, '--name', 'to-be-lost'], stack.env);
    await run.seen(/ ready/);
    const listed = await enclaver(['ps', '-o', 'json'], stack.env);
    const [record] = JSON.parse(listed.stdout);
    assert.equal(record.name, 'to-be-lost');
    assert.equal(record.state, 'ready');
    process.kill(record.pid, 'SIGKILL');
    const { code, stderr } = await run.finished;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /error\[MACHINE_ENDED\]/);
    const all = JSON.parse((await enclaver(['ps', '--all', '-o', 'json'], stack.env)).stdout);
    assert.equal(all.find((entry: { id: string }) => entry.id === record.id).state, 'lost');
    events.process.kill('SIGTERM');
    const names = (await events.finished).stdout
      .split('\n')
      .filter((line) => line.includes(record.id))
      .map((line) => JSON.parse(line).name);
    assert.ok(names.includes('lost'), names.join());
    assert.deepEqual(
      names.filter((name) => ['requested', 'egress-ready', 'launching', 'booting', 'starting', 'ready'].includes(name)),
      ['requested', 'egress-ready', 'launching', 'booting', 'starting', 'ready'],
    );
  });

  it('by `enclaver stop`, while `enclaver logs` shows what was written', async () => {
    const app = 'trap "echo stopping; exit 5" TERM; echo started; while :; do sleep 0.1; done';
    const eif = await build('stopped', 'sh', '-c', app);
    const run = start(['run', eif, '--name', 'to-be-stopped'], stack.env);
    await run.seen(/ ready/);
    // By then it has its trap
    while (!run.stdout.includes('started\n')) await sleep(20);
    const stopped = await enclaver(['stop', 'to-be-stopped'], stack.env);
    assert.equal(stopped.code, 0, stopped.stderr);
    const { code, stdout, stderr } = await run.finished;
    assert.equal(code, 5, stderr);
    assert.equal(stdout, 'started\nstopping\n');
    const logs = await enclaver(['logs', stopped.stdout.trim()], stack.env);
    assert.equal(logs.stdout, 'started\nstopping\n');
  });
});
