import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver, start } from '../stack/enclaver.ts';
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

describe('update of an enclave', function () {
  this.timeout(300_000);

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

  it('fails no request of a load generator, and one to a broken image changes nothing', async () => {
    const first = await build('update-one', app('one'));
    const second = await build('update-two', app('two'));
    const broken = await build('update-broken', 'exit 3');
    const port = await freePort();
    const run = start(['run', first, '--name', 'web', '-p', `127.0.0.1:${port}:8000`], stack.env);
    await run.seen(/ ready/);

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
    const updated = await enclaver(['update', 'web', second], stack.env);
    assert.equal(updated.code, 0, updated.stderr);
    while (answers.filter((answer) => answer === 'two').length < 24) await sleep(20);
    over = true;
    await Promise.all(load);
    const turn = answers.indexOf('two');

    assert.deepEqual(failures.slice(0, 5), []);
    assert.ok(turn > 0 && answers.slice(0, turn).every((answer) => answer === 'one'), `${answers}`);
    // A request that the old one had taken may be answered after the first of the new one
    assert.deepEqual([...new Set(answers.slice(turn + 8))], ['two']);
    const [record, ...others] = JSON.parse((await enclaver(['ps', '-o', 'json'], stack.env)).stdout);
    assert.deepEqual(
      [record.id, record.name, record.ingress[0].port, others],
      [updated.stdout.trim(), 'web', port, []],
    );
    // In the foreground it has gone on with the new one
    run.process.kill('SIGINT');
    const { code, stderr } = await run.finished;
    assert.equal(code, 109, stderr);
    assert.match(stderr, new RegExp(`${record.id} exited`));
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
