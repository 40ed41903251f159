import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Bus } from '@enclaver/bus';
import { transportTo } from '@enclaver/vsock';
import { LOG_PORT, STATUS_PORT } from '@enclaver/wire';
import { OtlpCollector } from '../observe/otlp-collector.ts';
import { readMetrics } from '../observe/read-metrics.ts';
import { enclaver, type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { documentedListeners, listeningOf, outsideAddresses } from '../stack/sockets.ts';
import { TestStack } from '../stack/stack.ts';
import { busPasswords, secretsOpenToOthers, tracesOf } from '../stack/traces.ts';
import { buildEnclave } from './build-image.ts';
import { CANARIES, spreadCanaries } from './canaries.ts';
import { openPorts } from './vsock-ports.ts';

const MIB = 1024 * 1024;

/** The bytes that the app's /blob gives: a 64 KiB block that counts. */
function* blob(bytes: number): Generator<Buffer> {
  for (let sent = 0, turn = 0; sent < bytes; sent += 65536, turn++) {
    yield Buffer.alloc(Math.min(65536, bytes - sent), turn & 0xff);
  }
}

/** Whom docs/services.md names, and who is in the enclave, or of another kind of machine than this one. */
const BY_MACHINE = ['odyn', 'vhost-device-vsock', 'qemu-system-x86_64', 'qemu-system-aarch64'];

/** What the app got through the proxy. */
interface Answer {
  status: number;
  text: string;
}

function blobHash(bytes: number): string {
  const hash = createHash('sha256');
  for (const block of blob(bytes)) hash.update(block);
  return hash.digest('hex');
}

describe('traffic through a booted enclave', function () {
  this.timeout(300_000);

  let work: string;
  let stack: TestStack;
  let collector: OtlpCollector;
  let run: Running;
  let app: string;
  let onParent: Server;
  let onName: Server;
  let openPort: number;
  let closedPort: number;
  let toldPort: number;
  let httpPort: number;
  let eif: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    collector = await OtlpCollector.start();
    const hosts = { 'allowed.test': '127.0.0.9', 'rebind.test': '127.0.0.1', 'denied.allowed.test': '127.0.0.9' };
    const loud = { ENCLAVER_LOG_LEVEL: 'trace', ENCLAVER_ACCESS_LOG: 'json' };
    stack = await TestStack.start(hosts, { ...collector.env, ...loud });
    onParent = createServer((request, response) => response.end(`parent answers ${request.url}`));
    onParent.listen(0, '127.0.0.1');
    await once(onParent, 'listening');
    openPort = (onParent.address() as AddressInfo).port;
    onName = createServer((request, response) =>
      response.end(`name answers ${request.url} as ${request.headers.host}`),
    );
    onName.listen(openPort, '127.0.0.9');
    await once(onName, 'listening');
    closedPort = await freePort();
    const built = await buildEnclave({
      work,
      name: 'traffic',
      context: { folder: new URL('./traffic/', import.meta.url).pathname },
      manifest: [
        'defaults: { cpu_count: 2, memory_mb: 1024 }',
        'metrics: true',
        'ingress:',
        '  - listen_port: 8080',
        '  - {listen_port: 8081, clients: {allow: [127.0.0.1]}, proxy_protocol: true}',
        'egress:',
        // The name resolves to a loopback address: only the address rule beside it opens that
        `  allow: ["host:${openPort}", "host:${closedPort}", "*.test", "**.allowed.test", "127.0.0.9"]`,
        '  deny: ["denied.allowed.test"]',
        '',
      ].join('\n'),
      env: stack.env,
    });
    eif = built.eif;
    const port = await freePort();
    toldPort = await freePort();
    httpPort = await freePort();
    app = `http://127.0.0.1:${port}`;
    const publish = [
      `127.0.0.1:${port}:8080`,
      `127.0.0.1:${toldPort}:8081`,
      `127.0.0.1:${httpPort}:8080/http,host=a.test`,
    ];
    const env = { ...stack.env, ...collector.env };
    run = start(['run', eif, ...publish.flatMap((each) => ['-p', each])], env);
    await run.seen(/ e-[0-9a-f]{12} ready/);
  });

  after(async () => {
    if (run?.process.exitCode === null) {
      run.process.kill('SIGTERM');
      await run.finished;
    }
    onParent?.close();
    onName?.close();
    await stack?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true, force: true });
  });

  const json = async <T = Answer>(path: string) => (await (await fetch(app + path)).json()) as T;

  it("gives the app its image's arguments, environment, user and folder, and the manifest (D12)", async () => {
    const about = await json<Record<string, unknown> & { env: Record<string, string> }>('/about');
    assert.deepEqual(about.argv, ['/app/server.js', 'from', 'cmd']);
    assert.equal(about.cwd, '/app');
    assert.equal(about.uid, 1234);
    assert.equal(about.gid, 2345);
    assert.equal(about.env.FROM_IMAGE, 'kept as it is');
    for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']) {
      assert.equal(about.env[name], 'http://127.0.0.1:10000/', name);
    }
    assert.equal(about.env.no_proxy, 'localhost,127.0.0.1');
    assert.equal(about.env.NO_PROXY, 'localhost,127.0.0.1');
    assert.equal(about.manifest, await readFile(join(work, 'traffic', 'enclaver.yaml'), 'utf8'));
  });

  it('answers 1,000 requests, 200 at a time', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 200 });
    const ask = (n: number) =>
      new Promise<string>((resolve, reject) => {
        const request = httpRequest(`${app}/hello?${n}`, { agent }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => resolve(`${response.statusCode} ${text}`));
        });
        request.on('error', reject).end();
      });
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, n) => ask(n)));
    agent.destroy();
    assert.deepEqual(new Set(answers), new Set(['200 hello']));
  });

  it('carries 100 MB in and 100 MB out unharmed', async () => {
    const bytes = 100 * MIB;
    const expected = blobHash(bytes);
    const upload = await fetch(`${app}/hash`, {
      method: 'POST',
      body: ReadableStream.from(blob(bytes)),
      duplex: 'half',
    });
    assert.equal(await upload.text(), expected);
    const hash = createHash('sha256');
    const download = await fetch(`${app}/blob?bytes=${bytes}`);
    for await (const chunk of download.body ?? []) hash.update(chunk);
    assert.equal(hash.digest('hex'), expected);
  });

  it('tells the app who connects, 50 at once, and keeps out whom the manifest does not let in', async () => {
    const heard = async (localAddress: string): Promise<[string, string]> => {
      const socket = connect({ host: '127.0.0.1', port: toldPort, localAddress });
      let text = '';
      socket
        .on('error', () => socket.destroy())
        .on('data', (part: Buffer) => {
          text += part;
        });
      await once(socket, 'connect');
      const from = `${localAddress}:${socket.localPort} to 127.0.0.1:${toldPort}`;
      await once(socket, 'close');
      return [text, from];
    };
    const all = await Promise.all(Array.from({ length: 50 }, () => heard('127.0.0.1')));
    for (const [text, from] of all) assert.equal(text, from);
    assert.equal((await heard('127.0.0.2'))[0], '');
  });

  it('shares a port with another enclave by path, and refuses what HTTP mode cannot carry', async () => {
    const told = await enclaver(['run', eif, '--name', 'other', '-p', `127.0.0.1:${httpPort}:8081/http`], stack.env);
    assert.match(told.stderr, /error\[PORT_NOT_FOR_HTTP\]: port 8081 /);
    const route = `127.0.0.1:${httpPort}:8080/http,host=a.test,path=/v1`;
    const other = start(['run', eif, '--name', 'other', '-p', route], stack.env);
    await other.seen(/ e-[0-9a-f]{12} ready/);
    const seen = async (path: string, host: string) => {
      const request = httpRequest({ host: '127.0.0.1', port: httpPort, path, headers: { host }, agent: false }).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      return JSON.parse(await text(response));
    };
    const [root, below] = [await seen('/seen', 'a.test'), await seen('/v1/seen?x', 'A.test:80')];
    assert.notEqual(root.self, below.self);
    assert.equal((await seen('/v1x/seen', 'a.test')).self, root.self);
    assert.equal(below.url, '/v1/seen?x');
    assert.equal(below.headers.host, 'A.test:80');
    assert.equal(below.headers['x-forwarded-for'], '127.0.0.1');
    assert.equal((await seen('/seen', 'b.test')).code, 'HOST_UNKNOWN');
    const { stdout } = await enclaver(['ps'], stack.env);
    assert.match(stdout, new RegExp(`127\\.0\\.0\\.1:${httpPort}->8080/http,host=a\\.test,path=/v1`));
    other.process.kill('SIGTERM');
    await other.finished;
    // Its path is the other's again, once the outer-proxy has heard of the end
    while ((await seen('/v1/seen', 'a.test')).self !== root.self) await new Promise(setImmediate);
  });

  describe('egress', () => {
    const viaConnect = (to: string) => json(`/connect?to=${encodeURIComponent(to)}`);
    const viaGet = (url: string) => json(`/get?url=${encodeURIComponent(url)}`);
    const refused = { status: 401, text: 'blocked by egress security policy' };

    it('reaches an allowed name, by CONNECT and in absolute form', async () => {
      assert.match((await viaConnect(`allowed.test:${openPort}`)).text, /name answers \/tunnelled/);
      assert.deepEqual(await viaGet(`http://allowed.test:${openPort}/x?y=1`), {
        status: 200,
        text: `name answers /x?y=1 as allowed.test:${openPort}`,
      });
    });

    it('reaches an allowed address and the parent under its keyword', async () => {
      assert.equal((await viaGet(`http://127.0.0.9:${openPort}/a`)).status, 200);
      assert.deepEqual(await viaGet(`http://host:${openPort}/p`), { status: 200, text: 'parent answers /p' });
      assert.match((await viaConnect(`host:${openPort}`)).text, /parent answers \/tunnelled/);
    });

    it('refuses what no rule allows: names, addresses, the ports of the parent that are not listed', async () => {
      assert.deepEqual(await viaConnect('example.com:443'), refused);
      assert.deepEqual(await viaGet('http://example.com/'), refused);
      assert.deepEqual(await viaGet('http://169.254.169.254/latest/meta-data/'), refused);
      assert.deepEqual(await viaGet(`http://127.0.0.1:${openPort}/`), refused);
      assert.deepEqual(await viaGet(`http://host:${openPort === 80 ? 81 : 80}/`), refused);
    });

    it('refuses what a deny rule names, however it is spelled', async () => {
      assert.deepEqual(await viaConnect(`denied.allowed.test:${openPort}`), refused);
      assert.deepEqual(await viaConnect(`DENIED.allowed.test.:${openPort}`), refused);
    });

    it('refuses an allowed name that leads to loopback, which the parent could make any name do', async () => {
      assert.deepEqual(await viaConnect(`rebind.test:${openPort}`), refused);
      assert.deepEqual(await viaGet(`http://rebind.test:${openPort}/`), refused);
    });

    it('says so when nobody answers at an allowed target', async () => {
      const answer = await viaGet(`http://host:${closedPort}/`);
      assert.equal(answer.status, 503);
      assert.match(answer.text, /os_err: 111: /);
    });
  });

  it('gives every line the app writes, each stream in order, a line of 100,000 bytes among them', async () => {
    const lines = 5000;
    const before = { stdout: run.stdout.length, stderr: run.stderr.length };
    await json(`/log?lines=${lines}`);
    while (!run.stdout.includes('long end\n')) await once(run.process.stdout as NodeJS.ReadableStream, 'data');
    const numbers = (text: string) => [...text.matchAll(/^line (\d+) of/gm)].map((match) => Number(match[1]));
    const every = (first: number) => Array.from({ length: lines / 2 }, (_, n) => first + 2 * n);
    assert.deepEqual(numbers(run.stdout.slice(before.stdout)), every(0));
    while (numbers(run.stderr.slice(before.stderr)).length < lines / 2) {
      await once(run.process.stderr as NodeJS.ReadableStream, 'data');
    }
    assert.deepEqual(numbers(run.stderr.slice(before.stderr)), every(1));
    assert.ok(run.stdout.includes(`\n${'long '.repeat(20_000)}end\n`));
  });

  it('shows itself in metrics, with the figures that its manifest lets out, and in a warning of how it runs', async () => {
    const metrics = await readMetrics(join(stack.dir, 'http', 'supervisor.sock'));
    assert.equal(metrics.get('enclaver_enclave_up{enclave="traffic"}'), 1);
    assert.equal(metrics.get('enclaver_enclave_starts_total{enclave="traffic",reason="run"}'), 1);
    const total = metrics.get('enclaver_enclave_reported_memory_total_bytes{enclave="traffic"}') ?? 0;
    assert.ok(total > 900 * MIB && total < 1024 * MIB, String(total));
    await using bus = await Bus.connect({ source: 'test', credentials: stack.busFile });
    assert.ok(
      (await bus.warnings.list()).some(({ code, service }) => code === 'DEVELOPMENT_NSM' && service === 'supervisor'),
    );
  });

  // In groups of their own, since mocha runs a suite's own tests before its groups
  describe('to whoever looks at it from outside', () => {
    /** All that odyn says and the console shows, beside the app's own lines. */
    const LOGS = ['logs', 'traffic', '--debug', '-o', 'json'];

    it('shows no secret in what its components have said or kept', async () => {
      const tcpPort = Number(new URL(app).port);
      await spreadCanaries({ tcpPort, httpPort, openPort, closedPort, ask: json });
      const passwords = await busPasswords(stack);
      assert.ok(Object.keys(passwords).length >= 5);
      const commands = [['ps', '-o', 'json'], ['describe', 'traffic'], ['status'], LOGS];
      const said: Record<string, string> = {
        'enclaver run': run.stdout + run.stderr,
        spans: JSON.stringify(collector.spans),
      };
      for (const words of commands) {
        const { stdout, stderr } = await enclaver(words, stack.env);
        said[`enclaver ${words.join(' ')}`] = stdout + stderr;
      }
      for (const service of ['supervisor', 'outer-proxy', 'log-relay', 'builder'])
        said[`metrics of ${service}`] = JSON.stringify([
          ...(await readMetrics(join(stack.dir, 'http', `${service}.sock`))),
        ]);
      // What is looked through is what it should be: the logs are there, and they have the requests
      assert.match(await readFile(stack.logFile, 'utf8'), /"direction":"ingress"/);
      assert.match(said[`enclaver ${LOGS.join(' ')}`] ?? '', /denied\.allowed\.test/);
      assert.deepEqual(await tracesOf({ ...CANARIES, ...passwords }, stack, said), []);
    });

    it('finds such a secret where there is one', async () => {
      const found = await tracesOf({ planted: 'enclaver_leases' }, stack, {
        there: 'of enclaver_leases',
        not: 'of none',
      });
      assert.ok(found.includes('there: planted') && !found.includes('not: planted'));
      assert.ok(found.some((each) => each.startsWith('data/bus/')));
    });

    it('opens no secret to other users of the machine', async () => {
      assert.deepEqual(await secretsOpenToOthers(stack), []);
    });

    it('listens where docs/services.md says, and nowhere else', async () => {
      const rows = documentedListeners();
      const listening = listeningOf(stack.pid).map(({ by, at }) => ({ by, at: at.replace(`${stack.dir}/`, '') }));
      for (const { by, at } of listening)
        assert.ok(
          rows.some((row) => row.by.includes(by) && row.at.test(at)),
          `${by} listens at ${at}, which docs/services.md does not say`,
        );
      const there = new Set([...listening.map(({ by }) => by), ...BY_MACHINE]);
      const absent = rows.flatMap(({ by }) => by).filter((by) => !there.has(by));
      assert.deepEqual(absent, [], 'docs/services.md names who is not of this stack');
      const ports = (name: string) =>
        listening.flatMap(({ by, at }) => (by === name && /^tcp 127\.0\.0\.1:(\d+)$/.exec(at)?.[1]) || []);
      assert.deepEqual(ports('outer-proxy').map(Number).sort(), [Number(new URL(app).port), toldPort, httpPort].sort());
      assert.equal(ports('nats-server').length, 1);
      // From another address than loopback's own nobody answers
      for (const port of [...ports('outer-proxy'), ...ports('nats-server')]) {
        for (const host of ['127.0.0.2', ...outsideAddresses()]) {
          const socket = connect(Number(port), host);
          const outcome = await new Promise<string | undefined>((resolve) => {
            socket.once('connect', () => resolve('connected'));
            socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
          });
          socket.destroy();
          assert.equal(outcome, 'ECONNREFUSED', `${host}:${port}`);
        }
      }
    });
  });

  describe('to a parent that tries every port', () => {
    it('answers at the vsock ports of status, log and ingress, and at no other', async () => {
      await using bus = await Bus.connect({ source: 'test', credentials: stack.busFile });
      const record = (await bus.enclaves.list()).find(({ state }) => state === 'ready');
      assert.ok(record !== undefined);
      assert.deepEqual(await openPorts(transportTo(record.vsock)), [8080, 8081, STATUS_PORT, LOG_PORT]);
    });
  });

  describe('at its end', () => {
    it('passes a stop on to the app, and ends with 109 when interrupted', async () => {
      run.process.kill('SIGTERM');
      const { code, stdout, stderr } = await run.finished;
      assert.match(stdout, /got SIGTERM/);
      assert.match(stderr, /exited: code 42/);
      assert.equal(code, 109);
    });

    it('leaves one trace: command, supervisor, outer-proxy, and the steps until ready', async () => {
      const command = await collector.span('enclaver run');
      const names = ['supervisor.run', 'open listeners', 'start of enclave', 'start of enclave: boot'];
      const spans = await Promise.all(names.map((name) => collector.span(name)));
      assert.deepEqual(new Set(spans.map(({ traceId }) => traceId)), new Set([command.traceId]));
      const of = (service: string) => collector.spans.filter((span) => span.service === `enclaver-${service}`);
      assert.ok(
        of('cli').some(({ name, parentSpanId }) => name === 'supervisor.run' && parentSpanId === command.spanId),
      );
      const [request] = of('supervisor').filter(({ name }) => name === 'supervisor.run');
      assert.equal((await collector.span('open listeners')).parentSpanId, request?.spanId);
      assert.equal((await collector.span('start of enclave')).parentSpanId, request?.spanId);
      assert.deepEqual(collector.refused, []);
    });
  });
});
