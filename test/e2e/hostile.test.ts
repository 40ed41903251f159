import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from '../observe/read-metrics.ts';
import { type Running, start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { buildEnclave } from './build-image.ts';

/** What the hostile one tries to open, and what the parent lets it have. */
const CONNECTIONS = 200;
const ALLOWED = 24;
const LINES = 300;
/**
 * The vsock device of a machine without /dev/vhost-vsock forgets a connection now and then, with the request that waits there unread
 * (docs/faults.md): such a request is sent again, so often at most.
 */
const FORGOTTEN_MAX = 3;
const FORGOTTEN_MS = 20_000;

interface Enclave {
  readonly run: Running;
  readonly url: string;
  readonly port: number;
}

describe('enclaves beside a hostile one of the same image', function () {
  this.timeout(300_000);

  let work: string;
  let stack: TestStack;
  let target: Server;
  const reached = new Set<Socket>();
  const runs: Running[] = [];

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start({ 'target.test': '127.0.0.9' });
    const answer = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nanswer';
    const endless = Buffer.alloc(1024 ** 2);
    target = createServer((socket) => {
      reached.add(socket);
      socket.on('close', () => reached.delete(socket)).on('error', () => socket.destroy());
      socket.once('data', (request) => {
        if (request.includes('/endless')) socket.write(endless);
        else socket.end(answer);
      });
    });
    target.listen(0, '127.0.0.9');
    await once(target, 'listening');
  });

  after(async () => {
    for (const { process } of runs) process.kill('SIGTERM');
    await Promise.all(runs.map(({ finished }) => finished));
    for (const socket of reached) socket.destroy();
    target?.close();
    await stack?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true, force: true });
  });

  const metrics = (service: string) => readMetrics(join(stack.dir, 'http', `${service}.sock`));

  it('are served, reach their servers and have their lines, one or three; and what the other took is given back', async () => {
    const to = `target.test:${(target.address() as AddressInfo).port}`;
    const { eif } = await buildEnclave({
      work,
      name: 'hostile',
      context: { folder: new URL('./hostile/', import.meta.url).pathname },
      manifest: [
        'defaults: { cpu_count: 1, memory_mb: 1024 }',
        'ingress: [{ listen_port: 8000 }]',
        'egress: { allow: ["target.test", "127.0.0.9"] }',
        '',
      ].join('\n'),
      env: stack.env,
    });
    const open = async (name: string, ...more: string[]): Promise<Enclave> => {
      const port = await freePort();
      const run = start(['run', eif, '--name', name, '-p', `127.0.0.1:${port}:8000`, ...more], stack.env);
      runs.push(run);
      await run.seen(/ ready/);
      return { run, port, url: `http://127.0.0.1:${port}` };
    };
    let forgotten = 0;
    const text = async (url: string): Promise<string> => {
      for (;;) {
        try {
          const answer = await fetch(url, { signal: AbortSignal.timeout(FORGOTTEN_MS) });
          return await answer.text();
        } catch (error) {
          if (++forgotten > FORGOTTEN_MAX) throw error;
        }
      }
    };
    const first = await open('honest-1');
    assert.match(await text(`${first.url}/fetch?to=${to}`), /answer/);
    const before = await metrics('outer-proxy');
    const hostile = await open('hostile', '--limit', `egress-connections=${ALLOWED}`);

    assert.equal(await text(`${hostile.url}/hostile?to=${to}&count=${CONNECTIONS}`), 'done');
    const neverRead = Array.from({ length: 16 }, () => {
      const socket = connect(hostile.port, '127.0.0.1').pause();
      socket.on('error', () => socket.destroy()).write('GET /endless HTTP/1.1\r\nHost: app\r\n\r\n');
      return socket;
    });
    const flood = async (): Promise<number> =>
      (await metrics('log-relay')).get('enclaver_log_lines_total{enclave="hostile",stream="stdout"}') ?? 0;
    const serve = async (honest: readonly Enclave[], prefix: string): Promise<void> => {
      const asked = honest.map(({ url }) => text(`${url}/log?count=${LINES}&prefix=${prefix}`));
      const floodBefore = await flood();
      let refused = 0;
      // Both the refused and some that are let through: with odyn emulated and the log full either may be the first
      for (
        let round = 0;
        refused === 0 || reached.size === 0 || (await flood()) < floodBefore + 500 || round < 10;
        round++
      ) {
        for (const { url } of honest) {
          assert.equal(await text(`${url}/`), 'done');
          assert.match(await text(`${url}/fetch?to=${to}`), /answer/);
        }
        const counted = await metrics('outer-proxy');
        refused = counted.get('enclaver_proxy_refused_total{enclave="hostile",direction="egress",reason="limit"}') ?? 0;
        const open = counted.get('enclaver_proxy_connections{enclave="hostile",direction="egress"}') ?? 0;
        assert.ok(open <= ALLOWED, `${open} connections are open`);
        await sleep(50);
      }
      for (const answer of asked) assert.equal(await answer, 'done');
      const lines = Array.from({ length: LINES }, (_, line) => `${prefix} ${line} of ${LINES}`);
      for (const { run } of honest) {
        const seen = () => run.stdout.split('\n').filter((line) => line.startsWith(`${prefix} `));
        while (seen().length < LINES) await once(run.process.stdout as NodeJS.ReadableStream, 'data');
        assert.deepEqual(seen(), lines);
      }
    };
    await serve([first], 'one');
    const more = await Promise.all([open('honest-2'), open('honest-3')]);
    await serve([first, ...more], 'three');
    for (const { run } of more) run.process.kill('SIGTERM');
    await Promise.all(more.map(({ run }) => run.finished));

    hostile.run.process.kill('SIGTERM');
    await hostile.run.finished;
    for (const socket of neverRead) socket.destroy();
    const started = 'process_start_time_seconds';
    for (let left = Number.POSITIVE_INFINITY; left > 0; await sleep(50)) {
      const after = await metrics('outer-proxy');
      // It is the same process, and has no more descriptors than with the one enclave
      assert.equal(after.get(started), before.get(started));
      left = (after.get('process_open_fds') ?? Number.NaN) - (before.get('process_open_fds') ?? Number.NaN);
      if (reached.size > 0) left = Math.max(left, reached.size);
    }
    assert.equal(await text(`${first.url}/`), 'done');
    assert.match(await text(`${first.url}/fetch?to=${to}`), /answer/);
  });
});
