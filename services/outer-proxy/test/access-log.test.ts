import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { ProxyProcess } from './proxy-process.ts';
import { ENCLAVE, ProxyProcesses } from './proxy-processes.ts';

const execute = promisify(execFile);

const linesOf = ({ output }: ProxyProcess) =>
  output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe("the outer-proxy's access log", () => {
  let proxies: ProxyProcesses;

  beforeEach(async () => {
    proxies = await ProxyProcesses.make();
  });

  afterEach(async () => {
    await proxies[Symbol.asyncDispose]();
  });

  it('writes a line for each connection at its end', async () => {
    proxies.guest.on(8080, (socket) => socket.once('data', () => socket.end('four')));
    const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const outside = (server.address() as AddressInfo).port;
    const proxy = await proxies.start({ ENCLAVER_ACCESS_LOG: 'json' });
    const { port } = await proxies.publish();
    const client = connect(port, '127.0.0.1');
    client.write('abc');
    await text(client);
    await proxies.askOut(outside);
    server.close();
    await once(server, 'close');
    await assert.rejects(proxies.askOut(outside));
    assert.equal(await proxy.end(), 0);
    const own = { enclave: ENCLAVE, name: 'test' };
    assert.deepEqual(
      linesOf(proxy).map(({ time: _time, ms: _ms, peer, ...rest }) => ({ ...rest, peer: peer.replace(/:\d+$/, '') })),
      [
        {
          ...own,
          direction: 'ingress',
          peer: '127.0.0.1',
          target: 'port 8080',
          bytesIn: 3,
          bytesOut: 4,
          end: 'closed',
        },
        {
          ...own,
          ...{ direction: 'egress', peer: 'enclave', target: `127.0.0.1:${outside}`, address: '127.0.0.1' },
          ...{ bytesIn: 6, bytesOut: 0, end: 'closed' },
        },
        {
          ...own,
          ...{ direction: 'egress', peer: 'enclave', target: `127.0.0.1:${outside}` },
          ...{ bytesIn: 0, bytesOut: 0, end: 'connect-failed', errno: 111 },
        },
      ],
    );
  });

  it('writes a line for each request of HTTP mode at its end, without its query, name or password', async () => {
    proxies.guest.on(8080, (socket) => {
      socket.on('data', (data) => {
        const isUpgrade = String(data).includes('Upgrade');
        if (String(data) === 'frame') socket.end('back');
        else if (isUpgrade)
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
        else socket.write('HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nfour');
      });
    });
    const proxy = await proxies.start({ ENCLAVER_ACCESS_LOG: 'json' });
    const { port } = await proxies.publish({ protocol: 'http', route: { host: 'a.example.com' } });
    const url = `http://127.0.0.1:${port}`;
    const asks = async (...args: string[]) => await execute('curl', ['-sS', ...args]);
    await asks('-H', 'Host: a.example.com', '-d', 'abc', `${url}/path?token=secret`);
    await asks('--http2-prior-knowledge', '-H', 'Host: a.example.com', `${url}/two`);
    await asks('-H', 'Host: b.example.com', `${url}/none`);
    for (const bytes of ['no HTTP', 'CONNECT me:secret@a.example.com:80 HTTP/1.1\r\nHost: me:secret@a.example.com']) {
      const broken = connect(port, '127.0.0.1');
      broken.end(`${bytes}\r\n\r\n`);
      await text(broken);
    }
    const joined = connect(port, '127.0.0.1');
    joined.write('GET /ws HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(joined, 'data');
    joined.write('frame');
    await text(joined);
    assert.equal(await proxy.end(), 0);
    assert.ok(!proxy.output.includes('secret'));
    const own = { enclave: ENCLAVE, name: 'test', target: 'port 8080', host: 'a.example.com' };
    const none = { bytesIn: 0, bytesOut: 0, end: 'refused', target: `port ${port}` };
    assert.deepEqual(
      linesOf(proxy).map(({ time: _time, ms: _ms, peer, direction, ...rest }) => {
        assert.match(peer, /^127\.0\.0\.1:\d+$/);
        assert.equal(direction, 'ingress');
        return rest;
      }),
      [
        { ...own, bytesIn: 3, bytesOut: 4, end: 'answered', method: 'POST', path: '/path', status: 201 },
        { ...own, bytesIn: 0, bytesOut: 4, end: 'answered', method: 'GET', path: '/two', status: 201 },
        { ...none, method: 'GET', host: 'b.example.com', path: '/none', status: 421, code: 'HOST_UNKNOWN' },
        { ...none, method: '', host: '', path: '', status: 400, code: 'REQUEST_INVALID' },
        {
          ...none,
          method: 'CONNECT',
          host: 'a.example.com',
          path: 'a.example.com:80',
          status: 405,
          code: 'METHOD_REFUSED',
        },
        { ...own, bytesIn: 5, bytesOut: 4, end: 'answered', method: 'GET', path: '/ws', status: 101 },
      ],
    );
  });
});
