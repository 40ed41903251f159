import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseImageSource, parseManifest } from '@enclaver/manifest';
import { makeHelloImage } from '../make-image.ts';

const folder = join(import.meta.dirname, '..');

/** Stands for the enclave's egress proxy: lets one host through and refuses others with 401, both ways of asking. */
function fakeProxy(): Server {
  const proxy = createServer((request, response) => {
    response.statusCode = request.url?.startsWith('http://allowed.test') ? 200 : 401;
    response.end(`${request.url}`);
  });
  proxy.on('connect', (request, socket) => {
    if (request.url !== 'allowed.test:80') return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncontent'));
    return undefined;
  });
  return proxy;
}

describe('examples/hello: the app', () => {
  let proxy: Server;
  let app: ChildProcess;
  let url: string;
  const lines: string[] = [];

  before(async () => {
    proxy = fakeProxy().listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    app = spawn(process.execPath, [join(folder, 'server.js'), 'Hi'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PORT: '0', NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl },
    });
    const { stdout, stderr } = app;
    assert.ok(stdout !== null && stderr !== null);
    const port = Promise.withResolvers<string>();
    createInterface(stdout).on('line', (line) => {
      lines.push(`out ${line}`);
      const match = /^listening on (\d+)$/.exec(line);
      if (match?.[1] !== undefined) port.resolve(match[1]);
    });
    createInterface(stderr).on('line', (line) => lines.push(`err ${line}`));
    url = `http://127.0.0.1:${await port.promise}`;
  });

  after(async () => {
    if (app.exitCode === null) {
      app.kill('SIGKILL');
      await once(app, 'exit');
    }
    proxy.closeAllConnections();
    proxy.close();
  });

  const fetchInside = (target: string) => fetch(`${url}/fetch?url=${encodeURIComponent(target)}`);

  it('greets with its uid, folder and host', async () => {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), new RegExp(`^Hi from uid ${process.getuid?.()} in ${folder} on \\S+\\n$`));
  });

  it('fetches through the proxy, and passes on what the proxy refuses', async () => {
    const allowed = await fetchInside('http://allowed.test/');
    assert.equal(allowed.status, 200);
    assert.match(await allowed.text(), /content|allowed/);
    assert.equal((await fetchInside('http://denied.test/')).status, 401);
    assert.equal((await fetchInside('https://denied.test/')).status, 401);
    assert.equal((await fetchInside('no url')).status, 502);
  });

  it('logs requests to stdout and warnings to stderr', async () => {
    assert.equal((await fetch(`${url}/nowhere`)).status, 404);
    // The pipes are read when they are, which is not before the answer
    while (!lines.includes('out GET /nowhere') || !lines.some((line) => /^err .*nowhere/.test(line))) await sleep(5);
  });

  it('answers, then ends with the code it is told', async () => {
    const exit = once(app, 'exit');
    const answer = await fetch(`${url}/stop?code=7`, { method: 'POST' });
    assert.equal(await answer.text(), 'stopping with code 7\n');
    assert.deepEqual(await exit, [7, null]);
  });
});

describe('examples/hello: the image', () => {
  it('has a manifest that names it, and is the same every time', async () => {
    const manifest = parseManifest(await readFile(join(folder, 'enclaver.yaml'), 'utf8'));
    assert.deepEqual(parseImageSource(manifest.sources.app), { kind: 'oci', path: './image' });
    const work = await mkdtemp(join(tmpdir(), 'hello-test-'));
    try {
      const blobs: string[][] = [];
      for (const name of ['a', 'b']) {
        await makeHelloImage(join(work, name));
        blobs.push((await readdir(join(work, name, 'blobs/sha256'))).sort());
      }
      assert.deepEqual(blobs[0], blobs[1]);
      assert.equal(blobs[0]?.length, 4);
    } finally {
      await rm(work, { recursive: true });
    }
  });
});
