import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';

const composeFile = new URL('../../docker-compose.yml', import.meta.url).pathname;

export const SERVICES = ['builder', 'supervisor', 'outer-proxy', 'log-relay'] as const;

const DRAIN_SECONDS = 3;
const HEALTHY = ['node_modules/.bin/node', 'libs/telemetry/src/healthy.ts'];
const AS_USER = '/opt/enclaver/deploy/compose/as-user';

/** The real Compose file as a project of this run's own: folders, ports, names and tags of images. */
export class ComposeStack {
  readonly work: string;
  readonly project = `enclaver-test-${process.pid}`;
  /** How long an outer-proxy waits for open connections. */
  readonly drainMs = DRAIN_SECONDS * 1000;
  /** Whom the services run as: nobody in particular, but who may give files away only if this is root. */
  readonly uid = process.getuid?.() || 1000;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(work: string, ports: readonly number[]) {
    this.work = work;
    const [bus, builder, supervisor, outerProxy, logRelay] = ports.map(String);
    this.#env = {
      ENCLAVER_UID: String(this.uid),
      ENCLAVER_GID: String(process.getgid?.() || 1000),
      // The tests' engine lets root in, and root's group
      DOCKER_GID: '0',
      ENCLAVER_BASE: 'enclaver-test/base:local',
      ENCLAVER_NATS_IMAGE: 'enclaver-test/nats:local',
      ENCLAVER_TAG: `test-${process.pid}`,
      ENCLAVER_STACK_DIR: join(work, 'stack'),
      ENCLAVER_DATA_DIR: join(work, 'data'),
      ENCLAVER_DRAIN_SECONDS: String(DRAIN_SECONDS),
      ENCLAVER_BUS_PORT: bus,
      ENCLAVER_BUILDER_HTTP: builder,
      ENCLAVER_SUPERVISOR_HTTP: supervisor,
      ENCLAVER_OUTER_PROXY_HTTP: outerProxy,
      ENCLAVER_LOG_RELAY_HTTP: logRelay,
      DOCKER_SOCK: (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, ''),
    };
  }

  static async start(): Promise<ComposeStack> {
    const work = await mkdtemp(join(tmpdir(), 'enclaver-compose-'));
    const ports: number[] = [];
    while (ports.length < 5) ports.push(await freePort());
    const stack = new ComposeStack(work, ports);
    await stack.compose('build');
    await stack.compose('up', '--detach', '--wait');
    return stack;
  }

  /** Environment of commands that shall find this stack. */
  get commandEnv(): NodeJS.ProcessEnv {
    return { ENCLAVER_BUS: join(this.work, 'stack', 'bus', 'cli.json') };
  }

  compose(...args: string[]): Promise<string> {
    return docker(['compose', '--project-name', this.project, '--file', composeFile, ...args], this.#env);
  }

  /** Makes a folder in the data folder into which the builder may write; gives back the data folder. */
  async outputFolder(name: string): Promise<string> {
    const data = join(this.work, 'data');
    await mkdir(join(data, name));
    if (process.getuid?.() === 0) await chown(join(data, name), this.uid, this.uid);
    return data;
  }

  /** Ids of the containers of a service that run, the oldest first. */
  async containers(service: string): Promise<string[]> {
    const labels = [`project=${this.project}`, `service=${service}`].map((each) => `label=com.docker.compose.${each}`);
    const filters = labels.flatMap((label) => ['--filter', label]);
    const ids = (await docker(['ps', '--quiet', ...filters])).split('\n').filter((id) => id !== '');
    const created = await Promise.all(ids.map((id) => docker(['inspect', '--format', '{{.Created}}', id])));
    return ids
      .map((id, n) => ({ id, at: created[n] ?? '' }))
      .sort((a, b) => (a.at < b.at ? -1 : 1))
      .map(({ id }) => id);
  }

  /** Number on this machine of a container's first process. */
  async pid(container: string): Promise<number> {
    return Number(await docker(['inspect', '--format', '{{.State.Pid}}', container]));
  }

  /** As a fault would: `docker kill` tells the engine not to start it again. */
  async killProcess(container: string): Promise<void> {
    process.kill(await this.pid(container), 'SIGKILL');
  }

  /** Resolves when that many containers of the service run and each says that it works. */
  async ready(service: string, count = 1): Promise<void> {
    const until = performance.now() + 60_000;
    for (;;) {
      const ids = await this.containers(service);
      const answers = await Promise.allSettled(ids.map((id) => this.#ask(service, id)));
      if (ids.length === count && answers.every(({ status }) => status === 'fulfilled')) return;
      if (performance.now() > until) throw new Error(`${service} is not ready: ${JSON.stringify(answers)}`);
      await sleep(200);
    }
  }

  async stop(): Promise<void> {
    await this.compose('down', '--volumes', '--remove-orphans', '--timeout', '40');
    const images = await docker(['images', '--quiet', '--filter', `reference=enclaver/*:${this.#env.ENCLAVER_TAG}`]);
    const ids = [...new Set(images.split('\n').filter((id) => id !== ''))];
    const names = ['core', ...SERVICES].map((name) => `enclaver/${name}:${this.#env.ENCLAVER_TAG}`);
    if (ids.length > 0) await docker(['image', 'rm', ...names]);
    await rm(this.work, { recursive: true });
  }

  #ask(service: string, container: string): Promise<string> {
    if (service === 'nats') {
      const port = this.#env.ENCLAVER_BUS_PORT;
      return docker(['exec', container, 'sh', '-c', `nc 127.0.0.1 ${port} </dev/null | grep -q ^INFO`]);
    }
    return docker(['exec', container, ...(service.startsWith('outer-proxy') ? [AS_USER] : []), ...HEALTHY]);
  }
}
