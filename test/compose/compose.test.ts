import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEnclave } from '../e2e/build-image.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';

const composeFile = new URL('../../docker-compose.yml', import.meta.url).pathname;

describe('docker compose up', function () {
  this.timeout(600_000);

  let work: string;
  let env: NodeJS.ProcessEnv;
  let commandEnv: NodeJS.ProcessEnv;
  let run: Running | undefined;

  const compose = (...args: string[]) =>
    docker(['compose', '--project-name', 'enclaver-test', '--file', composeFile, ...args], env);

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-compose-'));
    env = {
      ENCLAVER_BASE: 'enclaver-test/base:local',
      ENCLAVER_NATS_IMAGE: 'enclaver-test/nats:local',
      ENCLAVER_TAG: 'test',
      ENCLAVER_STACK_DIR: join(work, 'stack'),
      ENCLAVER_DATA_DIR: join(work, 'data'),
      ENCLAVER_BUS_PORT: String(await freePort()),
      DOCKER_SOCK: (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, ''),
    };
    await mkdir(join(work, 'data'));
    commandEnv = { ENCLAVER_BUS: join(work, 'stack', 'bus', 'cli.json') };
    await compose('build');
    await compose('up', '--detach');
  });

  after(async () => {
    run?.process.kill('SIGKILL');
    await compose('down', '--volumes', '--timeout', '40');
    await rm(work, { recursive: true });
  });

  it('runs an enclave through NATS and the four services, each its own container', async () => {
    await servicesAnswer(commandEnv);
    const { eif } = await buildEnclave({
      work: join(work, 'data'),
      name: 'composed',
      context: { folder: new URL('../e2e/traffic/', import.meta.url).pathname },
      manifest: 'defaults: { cpu_count: 2, memory_mb: 1024 }\ningress:\n  - listen_port: 8080\n',
      env: commandEnv,
    });
    const port = await freePort();
    run = start(['run', eif, '-p', `127.0.0.1:${port}:8080`], commandEnv);
    await run.seen(/ ready/);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello');
    await fetch(`http://127.0.0.1:${port}/exit?code=9`);
    const { code, stdout } = await run.finished;
    assert.equal(code, 9);
    assert.equal(stdout, 'listening on 8080\n');
    assert.match(await compose('logs', 'log-relay'), /listening on 8080/);
  });

  it('is taken down without a trace', async () => {
    await compose('down', '--volumes', '--timeout', '40');
    assert.equal(
      await docker(['ps', '--all', '--quiet', '--filter', 'label=com.docker.compose.project=enclaver-test']),
      '',
    );
    await assert.rejects(access(join(work, 'stack', 'run', 'vsock')));
  });
});

/** The containers are up before the processes in them answer. */
async function servicesAnswer(env: NodeJS.ProcessEnv): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { code, stderr } = await enclaver(['ps'], env);
    if (code === 0) return;
    if (attempt === 30) throw new Error(stderr);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
