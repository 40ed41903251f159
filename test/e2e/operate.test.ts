import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { buildEnclave } from './build-image.ts';

/** An app that answers its version, after some time, so that requests are always under way. */
const app = (version: string) =>
  [
    'busybox mkdir -p /www/cgi-bin',
    String.raw`printf '%s\n' '#!/bin/sh' 'sleep 0.2' 'printf "Content-Type: text/plain\r\n\r\n${version}"' > /www/cgi-bin/v`,
    'busybox chmod 755 /www/cgi-bin/v',
    'exec busybox httpd -f -p 8000 -h /www',
  ].join(' && ');

const page = new URL('../../docs/operate.md', import.meta.url).pathname;

describe('the commands of docs/operate.md', function () {
  this.timeout(400_000);

  let work: string;
  let stack: TestStack;
  /** Commands of the page that no test has run yet. */
  const shown = new Set<string>();

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
    const text = await readFile(page, 'utf8');
    const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    for (const line of blocks.join('').split('\n')) {
      const command = line.replace(/ *#.*/, '');
      // The stack of this test is one that `enclaver up` runs
      if (command !== '' && command !== 'enclaver up') shown.add(command);
    }
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  const build = async (name: string, command: string): Promise<string> => {
    const built = await buildEnclave({
      work,
      name,
      context: {
        dockerfile: `FROM enclaver-test/busybox:local\nENTRYPOINT ${JSON.stringify(['sh', '-c', command])}\n`,
      },
      manifest: 'defaults: { cpu_count: 1, memory_mb: 768 }\ningress: [{ listen_port: 8000 }]\n',
      env: stack.env,
    });
    return built.eif;
  };

  /** A command as it stands on the page, with what else is asked of it; images and ports are those of this test. */
  function asShown(command: string, port: number, ...more: string[]): Running {
    assert.ok(shown.delete(command), `docs/operate.md does not show, or a test has run: ${command}`);
    const [, ...words] = command.split(' ');
    const args = words.map((word) =>
      word.endsWith('.eif') ? join(work, word) : word.replace('8080:', `127.0.0.1:${port}:`),
    );
    return start([...args, ...more], stack.env);
  }

  it('do what it says: an update fails no request of a load generator, and one to a broken image changes nothing', async () => {
    await copyFile(await build('update-one', app('one')), join(work, 'hello.eif'));
    await copyFile(await build('update-two', app('two')), join(work, 'hello-2.eif'));
    const broken = await build('update-broken', 'exit 3');
    const port = await freePort();
    const run = asShown('enclaver run -p 8080:8000 --name web hello.eif', port, '--start-timeout', '240s');
    await run.seen(/ ready/);
    const logs = asShown('enclaver logs -f web', port);
    const first = await asShown('enclaver ps', port).finished;
    assert.match(first.stdout, /^ID +NAME +STATE .*\ne-[0-9a-f]{12} +web +ready /);
    const status = await enclaver(['status'], stack.env);
    assert.equal(status.code, 0, status.stdout);
    assert.match(status.stdout, /^supervisor .* up for [\s\S]*^enclaves: 1 ready$/m);

    const answers: string[] = [];
    const failures: string[] = [];
    let over = false;
    const load = Array.from({ length: 4 }, async () => {
      while (!over) {
        await ask(port).then(
          (answer) => answers.push(answer),
          (error: Error) => failures.push(error.message),
        );
        await sleep(20);
      }
    });
    const failed = await enclaver(['update', 'web', broken], stack.env);
    assert.equal(failed.code, 1, failed.stderr);
    assert.match(failed.stderr, /error\[UPDATE_FAILED\]/);
    assert.ok(!answers.includes('two'));
    const updated = await asShown('enclaver update web hello-2.eif', port).finished;
    assert.equal(updated.code, 0, updated.stderr);
    while (answers.filter((answer) => answer === 'two').length < 24) await sleep(20);
    over = true;
    await Promise.all(load);
    const turn = answers.indexOf('two');

    assert.deepEqual(failures.slice(0, 5), []);
    assert.ok(turn > 0 && answers.slice(0, turn).every((answer) => answer === 'one'), `${answers}`);
    // A request that the old one had taken may be answered after the first of the new one: one of each other client
    const late = answers.slice(turn).filter((answer) => answer !== 'two');
    assert.ok(late.length < load.length && late.every((answer) => answer === 'one'), `${answers}`);
    const [record, ...others] = JSON.parse((await enclaver(['ps', '-o', 'json'], stack.env)).stdout);
    assert.deepEqual(
      [record.id, record.name, record.ingress[0].port, others],
      [updated.stdout.trim(), 'web', port, []],
    );
    const described = await asShown('enclaver describe web', port).finished;
    const old = first.stdout.match(/e-[0-9a-f]{12}/)?.[0];
    assert.match(
      described.stdout,
      new RegExp(`^id +${record.id}\\n[\\s\\S]*^state +ready$[\\s\\S]*^replaces +${old}$`, 'm'),
    );
    assert.match(described.stdout, /^history\n[\s\S]*requested[\s\S]* ready/m);
    const data = JSON.parse((await asShown('enclaver describe -o json web', port).finished).stdout);
    assert.deepEqual([data.enclave.id, data.history[0].name], [record.id, 'requested']);
    logs.process.kill('SIGINT');
    assert.equal((await logs.finished).code, 0);
    // In the foreground it has gone on with the new one
    run.process.kill('SIGINT');
    const { code, stderr } = await run.finished;
    assert.equal(code, 109, stderr);
    assert.match(stderr, new RegExp(`${record.id} exited`));

    for (const [command, restart, ...more] of [
      ['enclaver run --restart always --name web hello.eif', { policy: 'always' }],
      [
        'enclaver run --restart on-failure:5 --name job hello.eif',
        { policy: 'on-failure', max: 5 },
        '--start-timeout',
        '1s',
      ],
    ] as const) {
      const again = asShown(command, port, '-p', `127.0.0.1:${port}:8000`, ...more);
      const [id = ''] = await again.seen(/e-[0-9a-f]{12}/);
      const { enclave } = JSON.parse((await enclaver(['describe', '-o', 'json', id], stack.env)).stdout);
      assert.deepEqual(enclave.restart, restart);
      if (more.length === 0) assert.equal((await asShown('enclaver stop web', port).finished).code, 0);
      else await again.seen(/START_TIMEOUT/);
      again.process.kill('SIGINT');
      await again.finished;
    }
    assert.deepEqual([...shown], [], 'shown and never run');
  });
});

/** One request on a connection of its own. */
function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/cgi-bin/v', agent: false, timeout: 30_000 }, (response) => {
      text(response).then(resolve, reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer'))).on('error', reject);
    sent.end();
  });
}
