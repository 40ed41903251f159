import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { type EnclaveStatus, encodeControl } from '@enclaver/wire';
import { HealthState } from '../src/health/health-state.ts';
import { probeOf } from '../src/health/probe.ts';
import { FakeParent, freePort, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

describe('the health of an app', () => {
  /** Checks as `.` and `x`, one a second; what follows from each as `r`, `u` or `-`. */
  const outcome = (checks: string, rules: { retries: number; startPeriodMs: number }): string => {
    const state = new HealthState(rules);
    return [...checks].map((check, second) => state.take(check === '.', second * 1000)?.[0] ?? '-').join('');
  };

  const cases: [string, { retries: number; startPeriodMs: number }, string, string][] = [
    ['is ready with the first check that passes', { retries: 3, startPeriodMs: 60_000 }, 'xx..', '--r-'],
    ['is unhealthy after so many failures in a row', { retries: 3, startPeriodMs: 0 }, '.xx.xxxx', 'r-----u-'],
    ['is ready again with one check that passes', { retries: 1, startPeriodMs: 0 }, '.x.x', 'ruru'],
    ['does not count failures of the start period', { retries: 2, startPeriodMs: 3_000 }, 'xxxxxx', '----u-'],
    ['counts them once a check has passed', { retries: 2, startPeriodMs: 60_000 }, '.xx', 'r-u'],
    ['may become ready after it was unhealthy from the start', { retries: 1, startPeriodMs: 0 }, 'xx.', 'u-r'],
  ];
  for (const [name, rules, checks, expected] of cases) {
    it(name, () => assert.equal(outcome(checks, rules), expected));
  }
});

describe('a health check', () => {
  const never = new AbortController().signal;
  let server: Server | undefined;

  afterEach(() => server?.close());

  async function listen(made: Server): Promise<number> {
    server = made.listen(0, '127.0.0.1');
    await once(made, 'listening');
    return (made.address() as AddressInfo).port;
  }

  const http = (port: number, more: { path?: string; status?: number } = {}, timeoutMs = 5_000) =>
    probeOf({ type: 'http', port, path: '/', ...more }, timeoutMs)(never);
  const tcp = (port: number) => probeOf({ type: 'tcp', port }, 5_000)(never);
  const answering = (status: number, handler?: RequestListener) =>
    listen(createHttpServer(handler ?? ((_, response) => response.writeHead(status).end('x'))));

  it('by TCP passes when the app accepts', async () => {
    const port = await listen(createServer((socket) => socket.resume()));
    assert.equal(await tcp(port), undefined);
    assert.match((await tcp(await freePort())) ?? '', /^port \d+: .*ECONNREFUSED/);
  });

  it('by HTTP passes for 200 to 399, or for the one status that is expected', async () => {
    for (const [status, well] of [
      [200, true],
      [301, true],
      [399, true],
      [400, false],
      [503, false],
    ] as const) {
      const port = await answering(status);
      const reason = await http(port, { path: '/up' });
      assert.equal(reason, well ? undefined : `port ${port}: GET /up gives ${status}; expected is 200 to 399`);
      assert.equal(await http(port, { status }), undefined);
      assert.match((await http(port, { status: 204 })) ?? '', /expected is 204/);
      server?.close();
    }
  });

  it('asks with a host that is its own, and says who asks', async () => {
    let seen: unknown;
    const port = await answering(200, ({ headers, url, method }, response) => {
      seen = [method, url, headers.host, headers['user-agent']];
      response.end();
    });
    await http(port, { path: '/healthz?deep=1' });
    assert.deepEqual(seen, ['GET', '/healthz?deep=1', `localhost:${port}`, 'enclaver-health']);
  });

  it('fails when the answer is late or none at all', async () => {
    const silent = await answering(0, () => {});
    assert.equal(await http(silent, {}, 100), `port ${silent}: no answer within 100 ms`);
    const rude = await listen(createServer((socket) => socket.end('220 mail\r\n')));
    assert.match((await http(rude)) ?? '', /^port \d+: Parse Error/);
  });

  it('does not read an answer without end', async () => {
    const over = Promise.withResolvers<void>();
    const port = await answering(200, (_, response) => {
      response.once('close', over.resolve);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384)));
      };
      response.on('drain', more);
      more();
    });
    assert.equal(await http(port), undefined);
    await over.promise;
  });
});

describe('odyn with a health check', function () {
  this.timeout(30_000);

  it('is ready, unhealthy with the reason, ready again, and quiet about a stop', async () => {
    const parent = await FakeParent.make();
    await parent.listen();
    const port = await freePort();
    const { finished, root } = await startOdyn(parent, {
      argv: ['/bin/httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', '/tmp'],
      manifest: `ingress: [{ listen_port: ${port} }]\nhealth: { http: { port: ${port}, path: /up }, interval: 1s, retries: 1 }\n`,
    });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    await writeFile(`${root}/tmp/up`, 'yes');
    await status.phase('ready');
    await rm(`${root}/tmp/up`);
    const unhealthy = await status.phase('unhealthy');
    assert.equal(
      unhealthy.status === 'running' && unhealthy.reason,
      `port ${port}: GET /up gives 404; expected is 200 to 399`,
    );
    await writeFile(`${root}/tmp/up`, 'yes');
    const ready = await status.until(
      (one) => phaseOf(one) === 'ready' && status.all.indexOf(one) > status.all.indexOf(unhealthy),
    );
    status.socket.write(encodeControl({ command: 'stop', graceMs: 10_000 }));
    await Promise.all([status.final(), finished]);
    assert.deepEqual(status.all.map(phaseOf), ['starting', 'ready', 'unhealthy', 'ready', 'stopping', 'signaled']);
    // When the app became ready for the first time is a figure of the boot, and stays
    const [first] = status.all.filter((one) => phaseOf(one) === 'ready');
    assert.deepEqual(timingsOf(ready), timingsOf(first));
    assert.match(linesOf(await log, 'odyn').join('\n'), /"msg":"unhealthy"/);
    await parent.close();
  });
});

const phaseOf = (status: EnclaveStatus) => (status.status === 'running' ? status.phase : status.status);
const timingsOf = (status: EnclaveStatus | undefined) => status?.status === 'running' && status.timings;
