import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver, start } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';

const image = 'enclaver-test/nitro-release:e2e';
/** What stands in the place of the command inside: it tells its arguments, serves a port, and ends by a signal. */
const INSIDE = [
  'echo "arguments: $*"; echo "on stderr" >&2',
  'mkdir -p /www; echo hello >/www/index.html; busybox httpd -p 8080 -h /www',
  "trap 'exit 9' TERM",
  'while :; do sleep 1 & wait; done',
].join('; ');

describe('enclaver run IMAGE, on Nitro', function () {
  this.timeout(120_000);

  let work: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    // The device is all that the command looks for; it becomes a folder that is mounted, since there is no device to pass on
    await mkdir(join(work, 'dev'));
    await writeFile(join(work, 'dev/nitro_enclaves'), '');
    env = { ENCLAVER_NITRO_EMULATED: work, XDG_RUNTIME_DIR: work };
    const lines = [
      'FROM enclaver-test/busybox:local',
      'LABEL io.enclaver.version=0.1.0',
      'EXPOSE 8080',
      `ENTRYPOINT ${JSON.stringify(['sh', '-c', INSIDE, 'sh'])}`,
    ];
    await writeFile(join(work, 'Dockerfile'), `${lines.join('\n')}\n`);
    await docker(['build', '--tag', image, work]);
  });

  after(async () => {
    await docker(['rmi', '--force', image]);
    await rm(work, { recursive: true });
  });

  const containers = async (): Promise<string> =>
    (await docker(['ps', '--all', '--quiet', '--filter', `ancestor=${image}`])).trim();

  it('is a container: with its output, its ports, signals, and exit code, and gone afterwards', async () => {
    const port = await freePort();
    const run = start(['run', image, '-p', `127.0.0.1:${port}:8080`, '--cpu-count', '4', '--debug'], env);
    await run.seen(/on stderr/);
    while ((await answerOf(`http://127.0.0.1:${port}/`)) !== 'hello\n') await sleep(50);
    const [settings] = JSON.parse(await docker(['inspect', await containers()]));
    assert.equal(settings.HostConfig.Privileged, false);
    run.process.kill('SIGTERM');
    const { code, stdout } = await run.finished;
    assert.equal(code, 9);
    assert.match(stdout, /^arguments: --cpu-count 4 --debug$/m);
    assert.equal(await containers(), '');
  });

  it('says what the engine says, and leaves nothing behind', async () => {
    const missing = await enclaver(['run', 'enclaver-test/no-such:image'], env);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /error\[IMAGE_NOT_FOUND\].*\n.*docker pull/);
    const port = await freePort();
    const holder = start(['run', image, '-p', `127.0.0.1:${port}:8080`], env);
    await holder.seen(/on stderr/);
    const taken = await enclaver(['run', image, '-p', `127.0.0.1:${port}:8080`], env);
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /error\[ENGINE_ERROR\].*port/);
    holder.process.kill('SIGTERM');
    await holder.finished;
    assert.equal(await containers(), '');
    const away = await enclaver(['run', image], { ...env, DOCKER_HOST: 'unix:///no/such.sock' });
    assert.match(away.stderr, /error\[ENGINE_UNREACHABLE\]/);
  });
});

/** Undefined while nobody listens. */
async function answerOf(url: string): Promise<string | undefined> {
  return fetch(url).then(
    (answer) => answer.text(),
    () => undefined,
  );
}
