import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeParent } from '@enclaver/nitro-cli-emulator';
import { shellBlocks } from '../docs/commands/markdown.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';

const root = new URL('../../', import.meta.url).pathname;
const composeFile = join(root, 'docker-compose.yml');

export const SERVICES = ['builder', 'supervisor', 'outer-proxy', 'log-relay', 'webhooks'] as const;

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
    const [bus, builder, supervisor, outerProxy, logRelay, webhooks] = ports.map(String);
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
      ENCLAVER_WEBHOOKS_HTTP: webhooks,
      ENCLAVER_WEBHOOKS_DIR: join(work, 'webhooks'),
      COMPOSE_PROJECT_NAME: this.project,
      COMPOSE_FILE: composeFile,
      COMPOSE_PROFILES: 'webhooks',
      PATH: [join(root, 'cli/bin'), process.env.PATH].join(delimiter),
      DOCKER_SOCK: (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, ''),
    };
  }

  /** @param webhooks files for the webhooks container, by their names */
  static async start(webhooks: Readonly<Record<string, string>>): Promise<ComposeStack> {
    const work = await mkdtemp(join(tmpdir(), 'enclaver-compose-'));
    const ports: number[] = [];
    while (ports.length < 6) ports.push(await freePort());
    const stack = new ComposeStack(work, ports);
    await mkdir(join(work, 'webhooks'));
    for (const [name, text] of Object.entries(webhooks)) await writeFile(join(work, 'webhooks', name), text);
    await stack.compose('build');
    await stack.compose('up', '--detach', '--wait');
    return stack;
  }

  /** Environment of commands that shall find this stack. */
  get commandEnv(): NodeJS.ProcessEnv {
    return { ENCLAVER_BUS: join(this.work, 'stack', 'bus', 'cli.json') };
  }

  compose(...args: string[]): Promise<string> {
    return docker(['compose', ...args], this.#env);
  }

  /** Runs the commands that docs/swap.md shows and that have a text in them, as they stand there but for the project's name. */
  async script(has: string, change = (text: string): string => text): Promise<void> {
    const blocks = shellBlocks(await readFile(join(root, 'docs/swap.md'), 'utf8')).filter(({ text }) =>
      text.includes(has),
    );
    const [block, ...more] = blocks;
    if (block === undefined || more.length > 0) throw new Error(`docs/swap.md has ${blocks.length} blocks with ${has}`);
    const text = change(block.text).replaceAll('enclaver-outer-proxy-', `${this.project}-outer-proxy-`);
    await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', text], {
      cwd: root,
      env: { ...process.env, ...this.#env },
    });
  }

  /**
   * Makes the supervisor anew by nitro.yml. What is missing here has a stand-in: the device is another one under its name, and
   * nitro-cli is the emulator, whose folder of a parent instance lies where supervisor, outer-proxy and log-relay meet.
   */
  async toNitro(): Promise<void> {
    const parent = join(this.work, 'stack/run/parent');
    const image = `enclaver/nitro-supervisor:${this.#env.ENCLAVER_TAG}`;
    const dockerfile = [
      `FROM enclaver/supervisor:${this.#env.ENCLAVER_TAG}`,
      'COPY tools/nitro-cli tools/nitro-cli',
      'ENV PATH=/opt/enclaver/tools/nitro-cli/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ];
    await writeFile(join(this.work, 'Dockerfile'), dockerfile.join('\n'));
    await docker(['build', '--tag', image, '--file', join(this.work, 'Dockerfile'), root]);
    await makeParent(parent, { cpus: [2, 3, 4, 5], memoryMb: 1536 });
    await promisify(execFile)('chown', ['-R', `${this.uid}`, parent]);
    const standIns = [
      'services:',
      '  supervisor:',
      '    devices: !override ["/dev/null:/dev/nitro_enclaves"]',
      `    environment: { ENCLAVER_NITRO_EMULATED: "${parent}" }`,
    ];
    await writeFile(join(this.work, 'stand-ins.yml'), standIns.join('\n'));
    const files = [composeFile, join(root, 'deploy/compose/nitro.yml'), join(this.work, 'stand-ins.yml')];
    Object.assign(this.#env, { COMPOSE_FILE: files.join(':'), ENCLAVER_NITRO_IMAGE: image, NE_GID: '990' });
    await this.compose('up', '--detach', '--no-deps', '--wait', 'supervisor');
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
    await this.compose(
      '--profile',
      'webhooks',
      '--profile',
      'two',
      'down',
      '--volumes',
      '--remove-orphans',
      '--timeout',
      '40',
    );
    const images = await docker(['images', '--quiet', '--filter', `reference=enclaver/*:${this.#env.ENCLAVER_TAG}`]);
    const ids = [...new Set(images.split('\n').filter((id) => id !== ''))];
    const names = ['core', 'nitro-supervisor', ...SERVICES].map((name) => `enclaver/${name}:${this.#env.ENCLAVER_TAG}`);
    if (ids.length > 0) await docker(['image', 'rm', '--force', ...names]);
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
