import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HookServer } from '../../services/webhooks/test/hook-server.ts';
import { buildEnclave } from '../e2e/build-image.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { docker } from '../stack/engine.ts';
import { freePort } from '../stack/free-port.ts';
import { ComposeStack, SERVICES } from './compose-stack.ts';
import { Load, type Seen } from './load.ts';

interface Egress {
  done: number;
  failed: string[];
}

const SECRET = 'only in this test';

/** What a client and the app saw while a part was changed. */
interface Change extends Seen {
  egress: Egress;
}

/** Each component of `docker compose up` is killed, stopped and made anew while an enclave works. */
describe('docker compose up', function () {
  this.timeout(600_000);

  let stack: ComposeStack;
  let outside: Server;
  let hook: HookServer;
  let eif: string;
  let publish: string[];
  let run: Running;
  let load: Load;
  let httpPort: number;
  const rows: string[] = [];

  before(async () => {
    hook = await HookServer.start(SECRET);
    const target = { name: 'ops', url: hook.url, secretFile: '/etc/enclaver/ops.secret', allowPrivate: true };
    stack = await ComposeStack.start({
      'webhooks.json': JSON.stringify({ targets: [target] }),
      'ops.secret': `${SECRET}\n`,
    });
    outside = createServer((_, response) => response.end('here'));
    outside.listen(0, '127.0.0.1');
    await once(outside, 'listening');
  });

  after(async () => {
    await load?.stop();
    outside?.close();
    await hook?.[Symbol.asyncDispose]();
    run?.process.kill('SIGKILL');
    await stack?.stop();
    process.stdout.write(`${rows.join('\n')}\n`);
  });

  const app = (path: string) => fetch(`http://127.0.0.1:${httpPort}${path}`);
  const egress = async () => (await (await app('/egress')).json()) as Egress;
  const tellToWork = () => app(`/work?outside=http://host:${(outside.address() as AddressInfo).port}`);

  async function startEnclave(): Promise<void> {
    run = start(['run', '--name', 'web', '--restart', 'on-failure', ...publish, eif], stack.commandEnv);
    await run.seen(/ ready/);
  }

  /** Does something to a part under load, and waits until it works again. */
  async function change(what: string, act: () => Promise<void>): Promise<Change> {
    const before = await egress();
    const fromMs = performance.now();
    await act();
    await load.answered();
    // For a request of the app to come after it, too
    await sleep(500);
    const seen = load.since(fromMs);
    const now = await egress();
    const failed = now.failed.slice(before.failed.length);
    rows.push(
      `| ${what} | ${seen.failed.length} of ${seen.requests} | ${Math.round(seen.gapMs)} | ${Math.round(seen.slowestMs)} ` +
        `| ${seen.breaks.length} | ${failed.length} of ${now.done - before.done + failed.length} |`,
    );
    return { ...seen, egress: { done: now.done - before.done, failed } };
  }

  const one = async (service: string) => {
    const [id] = await stack.containers(service);
    assert.ok(id);
    return id;
  };
  const kill = async (service: string) => {
    const container = await one(service);
    await load.betweenConnects(() => stack.killProcess(container));
    await stack.ready(service);
  };
  const stopAndStart = async (service: string) => {
    await stack.compose('stop', service);
    await stack.compose('start', service);
    await stack.ready(service);
  };
  const recreate = async (service: string) => {
    await stack.compose('up', '--detach', '--no-deps', '--force-recreate', service);
    await stack.ready(service);
  };

  const recreateAsShown = async () => {
    // Its first line builds: nothing new here
    await stack.script('docker compose build log-relay', (text) => text.split('\n').slice(1).join('\n'));
    await stack.ready('log-relay');
  };

  it('runs each service as a user without capabilities, with nobody’s credentials but its own', async () => {
    for (const service of SERVICES) {
      const container = await one(service);
      const { HostConfig: host } = JSON.parse(await docker(['inspect', '--format', '{{json .}}', container]));
      assert.deepEqual([host.Privileged, host.ReadonlyRootfs, host.CapDrop], [false, true, ['ALL']], service);
      const folder = service === 'webhooks' ? '/run/secrets/enclaver' : '/etc/enclaver';
      const seen = `cat /proc/mounts; ls ${folder}`;
      const inside = await docker(['exec', '--user', `${stack.uid}`, container, 'sh', '-c', seen]);
      const mounts = inside.split('\n').filter((line) => line.includes(stack.work));
      assert.ok(!mounts.some((line) => line.includes(`${stack.work}/stack `)), service);
      assert.match(inside, /^bus\.json$/m, service);
      assert.doesNotMatch(inside, /^nats\.conf$/m, service);

      // An init of the engine's stands before the supervisor
      const first = await stack.pid(container);
      const children = (await readFile(`/proc/${first}/task/${first}/children`, 'utf8')).trim().split(' ');
      const status = await readFile(`/proc/${service === 'supervisor' ? children[0] : first}/status`, 'utf8');
      assert.match(status, new RegExp(`^Uid:\\t${stack.uid}\\t${stack.uid}\\t${stack.uid}\\t`, 'm'), service);
      assert.match(status, /^NoNewPrivs:\t1$/m, service);
      const bindPorts = '0000000000000400';
      const capabilities = service === 'outer-proxy' ? bindPorts : '0000000000000000';
      for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(status, new RegExp(`^${set}:\\t${capabilities}$`, 'm'), `${service} ${set}`);
    }
  });

  it('builds and runs an enclave', async () => {
    const built = await buildEnclave({
      work: await stack.outputFolder('composed'),
      name: 'composed',
      context: { folder: new URL('./app/', import.meta.url).pathname },
      manifest: [
        'defaults: { cpu_count: 2, memory_mb: 1024 }',
        'ingress: [{ listen_port: 8080 }, { listen_port: 8081 }]',
        `egress: { allow: ["host:${(outside.address() as AddressInfo).port}"] }`,
        '',
      ].join('\n'),
      env: stack.commandEnv,
    });
    eif = built.eif;
    httpPort = await freePort();
    const echoPort = await freePort();
    publish = ['-p', `127.0.0.1:${httpPort}:8080`, '-p', `127.0.0.1:${echoPort}:8081`];
    await startEnclave();
    load = new Load({ http: httpPort, echo: echoPort });
    await load.answered();
    assert.equal((await tellToWork()).status, 200);
    while ((await egress()).done === 0) await sleep(100);
  });

  it('tells an HTTP server of its events by the webhooks container, signed and in order', async () => {
    const names = ['requested', 'egress-ready', 'launching', 'booting', 'starting', 'ready'];
    await hook.count(names.length);
    const told = hook.received.slice(0, names.length);
    assert.deepEqual(
      told.map(({ name }) => name),
      names,
    );
    assert.ok(told.every(({ isSigned, enclave }) => isSigned && enclave === told[0]?.enclave));
  });

  it('changes one of two outer-proxies, then the other, and no request fails', async () => {
    const oneByOne = 'docker rm enclaver-outer-proxy-1';
    await stack.script(oneByOne, (text) => text.split('\n')[0] ?? '');
    const stopped: number[] = [];
    const seen = await change('outer-proxy, two of them: recreated in turn', async () => {
      const before = await stack.containers('outer-proxy');
      for (const number of ['-1', '-2']) {
        stopped.push(performance.now());
        await stack.script(oneByOne, (text) =>
          text.split('\n').slice(1).join('\n').replaceAll('outer-proxy-1', `outer-proxy${number}`),
        );
      }
      const after = await stack.containers('outer-proxy');
      assert.equal(new Set([...before, ...after]).size, 4, 'both are new');
    });
    assert.deepEqual(seen.failed, []);
    assert.deepEqual(seen.egress.failed, []);
    // The connection that stays was with one of the two at least once, and had its time there
    assert.ok(seen.breaks.length > 0);
    for (const { brokeMs } of seen.breaks)
      assert.ok(
        stopped.some((at) => brokeMs - at >= stack.drainMs - 100),
        `${brokeMs} after ${stopped}`,
      );
  });

  it('loses with one of two outer-proxies that is killed only what that one carried', async () => {
    const [first] = await stack.containers('outer-proxy');
    assert.ok(first);
    let killed = 0;
    const seen = await change('outer-proxy, two of them: one killed', async () => {
      await load.betweenConnects(async () => {
        killed = performance.now();
        await stack.killProcess(first);
      });
      await stack.ready('outer-proxy', 2);
    });
    for (const { startedMs, error } of seen.failed)
      assert.ok(startedMs < killed + 100, `${error} at ${startedMs - killed} ms`);
  });

  it('goes on with one outer-proxy when the other one goes', async () => {
    const seen = await change('outer-proxy: from two to one', async () => {
      await stack.compose('up', '--detach', '--no-deps', '--no-recreate', '--scale', 'outer-proxy=1', 'outer-proxy');
      await stack.ready('outer-proxy');
    });
    assert.deepEqual(seen.failed, []);
    assert.deepEqual(seen.egress.failed, []);
  });

  it('makes an outer-proxy anew by the usual command while a second service stands by, and no request fails', async () => {
    const [old] = await stack.containers('outer-proxy');
    const seen = await change('outer-proxy, with outer-proxy-2 beside it: recreated', () =>
      stack.script('rm --stop --force outer-proxy-2'),
    );
    assert.notEqual(await one('outer-proxy'), old);
    assert.deepEqual(await stack.containers('outer-proxy-2'), []);
    assert.deepEqual(seen.failed, []);
    assert.deepEqual(seen.egress.failed, []);
  });

  it('serves again after the only outer-proxy was changed', async () => {
    for (const [how, act] of [
      ['recreated', recreate],
      ['stopped and started', stopAndStart],
      ['killed', kill],
    ] as const) {
      const { breaks, gapMs } = await change(`outer-proxy, alone: ${how}`, () => act('outer-proxy'));
      assert.ok(Number.isFinite(gapMs), how);
      assert.equal(breaks.length, 1, how);
    }
  });

  for (const service of ['log-relay', 'builder', 'nats'] as const) {
    it(`lets no client and no app notice a change of ${service}`, async () => {
      for (const [how, act] of [
        ['killed', kill],
        ['stopped and started', stopAndStart],
        ['recreated', service === 'log-relay' ? recreateAsShown : recreate],
      ] as const) {
        const seen = await change(`${service}: ${how}`, () => act(service));
        assert.deepEqual(seen.failed, [], how);
        assert.deepEqual(seen.egress.failed, [], how);
        assert.deepEqual(seen.breaks, [], how);
      }
    });
  }

  it('has lost no line of the log over all of this, and repeated none', async () => {
    const expected = ((await egress()).done - 1) * 10;
    let numbers: number[] = [];
    // A line that was written a moment ago is still under way
    for (let attempt = 0; numbers.length < expected && attempt < 30; attempt++) {
      const { stdout } = await enclaver(['logs', 'web', '--stream', 'stdout'], stack.commandEnv);
      numbers = [...stdout.matchAll(/^line (\d+) \.{80}$/gm)].map(([, number]) => Number(number));
      assert.equal(stdout.split('\n').length - 1, numbers.length);
      assert.deepEqual(
        numbers,
        Array.from({ length: numbers.length }, (_, n) => n),
      );
    }
    assert.ok(numbers.length >= expected, `${numbers.length} of ${expected} lines`);
    rows.push(`| log lines | ${numbers.length}, each once and in order |`);
  });

  it('loses the enclave with the supervisor that is killed, and starts it again by its restart policy', async () => {
    const fromMs = performance.now();
    await kill('supervisor');
    await load.answered();
    const { failed, requests, gapMs, breaks } = load.since(fromMs);
    rows.push(
      `| supervisor: killed | ${failed.length} of ${requests} | ${Math.round(gapMs)} | – | ${breaks.length} | the app is a new one |`,
    );
    const { stdout } = await enclaver(['ps', '--all'], stack.commandEnv);
    assert.match(stdout, / lost: SUPERVISOR_AWAY/);
    await tellToWork();
  });

  it('ends the enclave in order with a supervisor that is stopped; what is started then is a new one', async () => {
    const fromMs = performance.now();
    await stopAndStart('supervisor');
    const { code } = await run.finished;
    // The app's own answer to SIGTERM
    assert.equal(code, 42);
    await startEnclave();
    await load.answered();
    const { failed, requests, gapMs, breaks } = load.since(fromMs);
    rows.push(
      `| supervisor: stopped and started | ${failed.length} of ${requests} | ${Math.round(gapMs)} | – | ${breaks.length} | it ended in order, and was started anew by hand |`,
    );
  });

  it('ends the enclave in order with a supervisor that is recreated', async () => {
    await recreate('supervisor');
    assert.equal((await run.finished).code, 42);
  });

  it('runs the enclave by nitro-cli with nitro.yml, here by its emulator', async () => {
    await stack.toNitro();
    await startEnclave();
    assert.equal(await (await app('/')).text(), 'hello');
    const described = await docker(['exec', await one('supervisor'), 'nitro-cli', 'describe-enclaves']);
    const [{ State, NumberOfCPUs, MemoryMiB }] = JSON.parse(described);
    assert.deepEqual([State, NumberOfCPUs, MemoryMiB], ['RUNNING', 2, 1024]);
    await enclaver(['stop', 'web'], stack.commandEnv);
    assert.equal((await run.finished).code, 42);
  });

  it('is taken down without a trace', async () => {
    await stack.compose('down', '--volumes', '--timeout', '40');
    const label = `label=com.docker.compose.project=${stack.project}`;
    assert.equal(await docker(['ps', '--all', '--quiet', '--filter', label]), '');
    await assert.rejects(access(join(stack.work, 'stack', 'run', 'vsock')));
  });
});
