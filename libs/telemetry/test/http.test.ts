import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { HttpListener, Metrics, parseHttpAddresses, telemetryLimits } from '../src/index.ts';

async function fetchFrom(socketPath: string, path: string): Promise<{ status: number | undefined; body: string }> {
  const request = get({ socketPath, path });
  const [response] = await once(request, 'response');
  return { status: response.statusCode, body: await text(response) };
}

describe('http listener', () => {
  let dir: string;
  let path: string;
  let missing: string[] = [];
  let listener: HttpListener;
  const metrics = new Metrics();
  metrics.counter({ name: 'x_total', help: 'X.' }).add({}, 4);
  const options = { metrics, notReady: () => missing };

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'enclaver-http-'));
    path = join(dir, 'test.sock');
    listener = await HttpListener.open({ type: 'unix', path }, options);
  });
  after(async () => {
    await listener.close();
    await rm(dir, { recursive: true });
  });

  it('serves metrics, liveness and readiness', async () => {
    assert.match((await fetchFrom(path, '/metrics')).body, /^x_total 4$/m);
    assert.equal((await fetchFrom(path, '/healthz')).status, 200);
    assert.equal((await fetchFrom(path, '/readyz')).status, 200);
    missing = ['the bus is not connected'];
    assert.deepEqual(await fetchFrom(path, '/readyz'), { status: 503, body: 'the bus is not connected\n' });
    assert.equal((await fetchFrom(path, '/healthz')).status, 200);
    assert.equal((await fetchFrom(path, '/other')).status, 404);
    missing = [];
  });

  it('says why metrics are not to be had, and goes on', async () => {
    const failing = new Metrics();
    failing.onCollect(() => {
      throw new Error('EMFILE: too many open files');
    });
    const at = join(dir, 'failing.sock');
    const other = await HttpListener.open({ type: 'unix', path: at }, { metrics: failing, notReady: () => [] });
    assert.deepEqual(await fetchFrom(at, '/metrics'), {
      status: 500,
      body: 'not to be had now: EMFILE: too many open files\n',
    });
    assert.equal((await fetchFrom(at, '/healthz')).status, 200);
    await other.close();
  });

  it('takes one request for a connection, and bounds heads and connections', async () => {
    const twice = connect(path);
    twice.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await text(twice)).match(/HTTP\/1\.1 200/g)?.length, 1);
    const large = connect(path);
    large.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(telemetryLimits.httpHeadBytes)}\r\n\r\n`);
    assert.match(await text(large), /431/);
    const silent = Array.from({ length: telemetryLimits.httpConnections }, () => connect(path));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    const refused = connect(path);
    refused.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    refused.on('error', () => undefined);
    assert.equal(await text(refused).catch(() => ''), '');
    for (const socket of silent) socket.destroy();
  });

  it('is taken over by a successor at the same path, whose socket the predecessor leaves alone', async () => {
    const own = join(dir, 'handover.sock');
    const first = await HttpListener.open({ type: 'unix', path: own }, options);
    const second = await HttpListener.open({ type: 'unix', path: own }, options);
    await first.close();
    assert.equal((await fetchFrom(own, '/healthz')).status, 200);
    await second.close();
    assert.equal(existsSync(own), false);
  });

  it('refuses a TCP port that is taken', async () => {
    const first = await HttpListener.open({ type: 'tcp', host: '127.0.0.1', port: 0 }, options);
    await assert.rejects(HttpListener.open({ type: 'tcp', host: '127.0.0.1', port: first.port ?? 0 }, options), {
      code: 'EADDRINUSE',
    });
    await first.close();
  });

  it('reads addresses, on loopback where no host is named', () => {
    assert.deepEqual(parseHttpAddresses('9464'), [{ type: 'tcp', host: '127.0.0.1', port: 9464 }]);
    assert.deepEqual(parseHttpAddresses('0.0.0.0:9464'), [{ type: 'tcp', host: '0.0.0.0', port: 9464 }]);
    assert.deepEqual(parseHttpAddresses('[::1]:9464'), [{ type: 'tcp', host: '::1', port: 9464 }]);
    assert.deepEqual(parseHttpAddresses('unix:/run/x,y.sock'), [{ type: 'unix', path: '/run/x,y.sock' }]);
    assert.deepEqual(parseHttpAddresses('1,[::1]:2,unix:/x'), [
      { type: 'tcp', host: '127.0.0.1', port: 1 },
      { type: 'tcp', host: '::1', port: 2 },
      { type: 'unix', path: '/x' },
    ]);
    for (const wrong of ['', '1,', ',1', 'unix:relative', 'host', ':9464', '1.2.3.4:99999', 'http://x:1']) {
      assert.equal(parseHttpAddresses(wrong), undefined, wrong);
    }
  });

  it('tells a health check whether the service works', async () => {
    const healthy = async () => {
      const child = spawn(process.execPath, [new URL('../src/healthy.ts', import.meta.url).pathname], {
        env: { ENCLAVER_HTTP: `1,unix:${path}` },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
      return { said, code };
    };
    assert.deepEqual(await healthy(), { said: 'ready\n', code: 0 });
    missing = ['the bus is not connected'];
    assert.deepEqual(await healthy(), { said: 'the bus is not connected\n', code: 1 });
    missing = [];
  });
});
