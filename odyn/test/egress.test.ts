import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, request } from 'node:http';
import { connect, createServer as createTcp, type Server } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { VsockError, type VsockErrorCode, type VsockTransport } from '@enclaver/vsock';
import type { Egress } from '../src/egress/egress.ts';
import { EgressProxy, portOf } from './egress-proxy.ts';
import { FakeParent, run } from './harness.ts';

const REACHED = '93.184.216.34';

describe('egress proxy', () => {
  let parent: FakeParent;
  let opened: EgressProxy;
  let egress: Egress;
  let seen: IncomingMessage[];
  let bodies: Buffer[];
  const servers: Server[] = [];
  let proxy: string;

  async function start(allow: string[], deny: string[] = []): Promise<void> {
    opened = await EgressProxy.open(parent, { allow, deny });
    egress = opened.egress;
    proxy = opened.url;
  }

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    seen = [];
    bodies = [];
    const web = createHttp(async (incoming, response) => {
      seen.push(incoming);
      bodies.push(await buffer(incoming));
      response.setHeader('X-Mine', 'yes');
      response.setHeader('Keep-Alive', 'timeout=77');
      response.end(
        incoming.url === '/big' ? Buffer.alloc(128_000, 'x') : `you asked ${incoming.method} ${incoming.url}`,
      );
    });
    web.on('upgrade', (incoming, socket) => {
      seen.push(incoming);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst;');
      socket.pipe(socket);
    });
    const to = await portOf(web);
    servers.push(web);
    parent.answer = () => ({ reply: { Ok: { address: REACHED } }, to });
    await start(['**', 'host', '10.0.0.0/8'], ['evil.com']);
  });

  afterEach(async () => {
    await opened.close();
    await parent.close();
    for (const server of servers.splice(0)) server.close();
  });

  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['-sS', '--max-time', '10', '-x', proxy, ...args])).stdout;

  /** Sends bytes as they are and gives the answer, up to its end or, on a kept connection, to the bytes `until` names. */
  async function raw(bytes: string, until?: RegExp): Promise<string> {
    const socket = connect(egress.port, '127.0.0.1');
    socket.write(bytes);
    let answer = '';
    for await (const chunk of socket) {
      answer += String(chunk);
      if (until?.test(answer)) break;
    }
    return answer;
  }

  const logged = (): string => opened.log();

  it('forwards a request in absolute form, its Host from the URL, hop-by-hop headers left out', async () => {
    const out = await curl(
      '-i',
      '-H',
      'Host: other.com',
      '-H',
      'Connection: X-Secret',
      '-H',
      'X-Secret: 1',
      '-H',
      'Proxy-Authorization: Basic x',
      '-H',
      'TE: trailers',
      '-H',
      'X-Kept: 1',
      'http://Example.COM.:8080/a%20b?c=d',
    );
    assert.match(out, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(out, /you asked GET \/a%20b\?c=d$/);
    assert.match(out, /X-Mine: yes/);
    assert.doesNotMatch(out, /timeout=77/);
    assert.deepEqual(parent.requests, [{ host: 'example.com', port: 8080, report: true }]);
    const { headers } = seen[0] ?? assert.fail();
    assert.equal(headers.host, 'example.com:8080');
    assert.equal(headers['x-kept'], '1');
    for (const name of ['x-secret', 'proxy-authorization', 'te', 'proxy-connection'])
      assert.ok(!(name in headers), name);
  });

  it('asks for port 80 and / when the URL names none, and keeps the query of an empty path', async () => {
    assert.match(await curl('http://example.com?q'), /you asked GET \/\?q/);
    assert.deepEqual(parent.requests[0]?.port, 80);
    assert.match(
      await raw('OPTIONS http://example.com HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
      /OPTIONS \*/,
    );
  });

  it('carries bodies both ways, with a length and in chunks', async () => {
    assert.equal((await curl('http://example.com/big')).length, 128_000);
    const body = randomBytes(100_000);
    for (const headers of [{ 'Content-Length': body.length }, { 'Transfer-Encoding': 'chunked' }]) {
      const sent = request({
        port: egress.port,
        host: '127.0.0.1',
        method: 'POST',
        path: 'http://example.com/up',
        headers,
      });
      sent.end(body);
      const [answered] = (await once(sent, 'response')) as [IncomingMessage];
      assert.equal(await text(answered), 'you asked POST /up');
      assert.deepEqual(bodies.pop(), body);
    }
  });

  it('keeps the connection of a client for its next request', async () => {
    const answer = await raw(
      'GET http://example.com/1 HTTP/1.1\r\nHost: x\r\n\r\n' +
        'GET http://example.org/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    assert.match(answer, /you asked GET \/1[\s\S]*you asked GET \/2$/);
    assert.deepEqual(
      parent.requests.map(({ host }) => host),
      ['example.com', 'example.org'],
    );
  });

  it('tunnels CONNECT byte for byte, also what comes with the request', async () => {
    const echo = createTcp((socket) => socket.pipe(socket));
    servers.push(echo);
    const to = await portOf(echo);
    parent.answer = () => ({ reply: { Ok: { address: REACHED } }, to });
    const payload = randomBytes(2_000_000);
    const socket = connect(egress.port, '127.0.0.1');
    socket.write(
      Buffer.concat([
        Buffer.from('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'),
        payload.subarray(0, 1000),
      ]),
    );
    const parts: Buffer[] = [];
    let size = 0;
    const head = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');
    const all = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        parts.push(chunk);
        size += chunk.length;
        if (size >= head.length + payload.length) resolve();
      });
    });
    setTimeout(() => socket.write(payload.subarray(1000)), 20);
    await all;
    socket.destroy();
    const got = Buffer.concat(parts);
    assert.deepEqual(got.subarray(0, head.length), head);
    assert.ok(got.subarray(head.length).equals(payload));
    assert.deepEqual(parent.requests, [{ host: 'example.com', port: 443, report: true }]);
  });

  it('passes WebSocket and other upgrades in absolute form', async () => {
    const socket = connect(egress.port, '127.0.0.1');
    socket.write('GET http://example.com/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    let got = '';
    socket.on('data', (chunk: Buffer) => {
      got += chunk.toString();
    });
    while (!got.includes('first;')) await once(socket, 'data');
    assert.match(got, /^HTTP\/1.1 101 /);
    assert.match(got, /Upgrade: echo/i);
    socket.write('ping');
    while (!got.endsWith('ping')) await once(socket, 'data');
    socket.destroy();
    assert.equal(seen[0]?.headers.upgrade, 'echo');
  });

  it('passes the answer of a server that does not upgrade', async () => {
    const plain = createHttp((_request, response) => response.end('plain'));
    servers.push(plain);
    const to = await portOf(plain);
    parent.answer = () => ({ reply: { Ok: { address: REACHED } }, to });
    const answer = await raw(
      'GET http://example.com/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1.1 200 OK[\s\S]*plain$/);
  });

  it('takes an IPv6 destination without its brackets to the parent (fault B-11)', async () => {
    await opened.close();
    await start(['2001:db8::/32']);
    parent.answer = ({ host }) => ({ reply: { Ok: { address: host } } });
    const socket = connect(egress.port, '127.0.0.1');
    socket.write('CONNECT [2001:DB8:0::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200/);
    socket.destroy();
    assert.equal(parent.requests[0]?.host, '2001:db8::1');
  });

  it('answers 401 with the known text to what the policy refuses, and logs the rule', async () => {
    for (const url of ['http://evil.com./', 'http://1.2.3.4/']) {
      assert.match(await curl('-i', url), /^HTTP\/1.1 401 [\s\S]*\r\n\r\nblocked by egress security policy$/);
    }
    const answer = await raw('CONNECT evil.com:443 HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(answer, /^HTTP\/1.1 401 [\s\S]*\r\n\r\nblocked by egress security policy$/);
    assert.deepEqual(parent.requests, []);
    assert.equal(egress.counts().refused, 3);
    assert.match(logged(), /"egress refused".*"evil.com:80".*"deny evil.com"/);
  });

  it('sends nothing to an address that a name must not lead to', async () => {
    parent.answer = () => ({ reply: { Ok: { address: '169.254.169.254' } } });
    assert.match(await curl('-i', 'http://rebound.com/'), /^HTTP\/1.1 401 .*/);
    assert.match(
      await raw('CONNECT rebound.com:80 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n'),
      /^HTTP\/1.1 401/,
    );
    assert.deepEqual(parent.stray, []);
    assert.match(logged(), /link-local.*169\.254\.169\.254/);
  });

  it('answers 503 with the error of the parent', async () => {
    parent.answer = () => ({ reply: { Err: { os_code: 111, message: 'Connection refused' } } });
    assert.match(await curl('-i', 'http://example.com/'), /^HTTP\/1.1 503 [\s\S]*os_err: 111: Connection refused$/);
    assert.match(
      await raw('CONNECT example.com:1 HTTP/1.1\r\nHost: x\r\n\r\n'),
      /^HTTP\/1.1 503 [\s\S]*os_err: 111: Connection refused$/,
    );
  });

  it('answers 503 to a parent that does not report the address', async () => {
    parent.answer = () => ({ reply: 'Ok' });
    assert.match(await curl('-i', 'http://example.com/'), /^HTTP\/1.1 503 [\s\S]*os_err: 71: /);
  });

  it('dials again while nobody takes its connection, or answers it', async () => {
    await opened.close();
    const codes: VsockErrorCode[] = ['CONNECT_TIMEOUT', 'CONNECT_REFUSED'];
    const connect: VsockTransport['connect'] = (port, options) => {
      const code = codes.shift();
      return code === undefined ? parent.transport.connect(port, options) : Promise.reject(new VsockError(code, code));
    };
    opened = await EgressProxy.open({ transport: { ...parent.transport, connect } }, { allow: ['**'] });
    proxy = opened.url;
    assert.equal(await curl('http://example.com/x'), 'you asked GET /x');
    assert.deepEqual(codes, []);
  });

  it('answers 503 when the parent is not there', async () => {
    await opened.close();
    const gone = await FakeParent.make();
    opened = await EgressProxy.open(gone, { allow: ['**'] });
    proxy = opened.url;
    assert.match(await curl('-i', 'http://example.com/'), /^HTTP\/1.1 503 [\s\S]*os_err: \d+: /);
    await gone.close();
  });

  const bad: Record<string, string> = {
    'origin form': 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n',
    'https in absolute form': 'GET https://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n',
    'CONNECT without a port': 'CONNECT example.com HTTP/1.1\r\nHost: x\r\n\r\n',
    'CONNECT to port 0': 'CONNECT example.com:0 HTTP/1.1\r\nHost: x\r\n\r\n',
    'a user name': 'GET http://a@example.com/ HTTP/1.1\r\nHost: x\r\n\r\n',
    'a fragment': 'GET http://example.com/#f HTTP/1.1\r\nHost: x\r\n\r\n',
    'a port that is none': 'GET http://example.com:99999/ HTTP/1.1\r\nHost: x\r\n\r\n',
    'both framings':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'two lengths': 'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    'a strange encoding':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'two encodings':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a request without a version': 'GET http://example.com/\r\nHost: x\r\n\r\n',
    'an obscured encoding':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    'a space before the colon': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n',
    'a folded header': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n',
    'a bare LF': 'GET http://example.com/ HTTP/1.1\nHost: x\n\n',
    'a negative length': 'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    'a chunk size that is none':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n',
    'two Hosts': 'GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nHost: evil.com\r\n\r\n',
    'no Host': 'GET http://example.com/ HTTP/1.1\r\n\r\n',
    'a list of hosts': 'GET http://example.com,evil.com/ HTTP/1.1\r\nHost: x\r\n\r\n',
    'a length that repeats itself': 'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc',
    'a length that nobody can count':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 8446744073709551621\r\n\r\nabc',
    'a length with a sign': 'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc',
    'an encoding twice':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'an encoding in HTTP/1.0':
      'POST http://example.com/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a folded encoding':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
    'an encoding with a vertical tab':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n',
    'a bare CR in a value': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX-A: b\rX-B: c\r\n\r\n',
    'a bare LF between headers': 'GET http://example.com/ HTTP/1.1\r\nHost: x\nX-B: c\r\n\r\n',
    'a NUL in a value': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n',
    'a header without a colon': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n',
    'a header without a name': 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n',
    'a blank before the first header': 'GET http://example.com/ HTTP/1.1\r\n Host: x\r\n\r\n',
    'HTTP/0.9': 'GET http://example.com/\r\n\r\n',
    'HTTP/2 without its handshake': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a chunk size that overflows':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n',
    'a chunk ended by a bare LF':
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n',
    'a CONNECT with a body': 'CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
    'a CONNECT in chunks': 'CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a CONNECT in absolute form': 'CONNECT http://example.com:443/ HTTP/1.1\r\nHost: x\r\n\r\n',
  };
  for (const [name, bytes] of Object.entries(bad)) {
    it(`answers 400 to ${name}`, async () => {
      assert.match(await raw(bytes, /^HTTP\/1.1 \d/), /^HTTP\/1.1 400 /);
      assert.deepEqual(bodies, []);
    });
  }

  it('carries out nothing behind a request that can be read in two ways', async () => {
    const next = 'GET http://example.com/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    assert.match(await raw(`${bad['two encodings']}${next}`), /^HTTP\/1.1 400 [\s\S]*chunked, or with Content-Length$/);
    assert.match(await raw(`${bad['no Host']}${next}`), /^HTTP\/1.1 400 [\s\S]*no Host$/);
    assert.deepEqual(parent.requests, []);
  });

  it('answers 502 for a body in a coding that the client would not be told of', async () => {
    let coding = '';
    const coded = createTcp((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\n5\r\ncoded\r\n0\r\n\r\n`, 'latin1'),
    );
    servers.push(coded);
    const to = await portOf(coded);
    parent.answer = () => ({ reply: { Ok: { address: REACHED } }, to });
    for (coding of ['gzip', '\xa0chunked']) {
      assert.match(
        await curl('-i', 'http://example.com/'),
        /^HTTP\/1.1 502 [\s\S]*its Transfer-Encoding is not chunked$/,
      );
    }
  });

  it('answers 502 for a status line that can be read and not written, and goes on', async () => {
    let line = '';
    const odd = createTcp((socket) => socket.end(`${line}\r\nContent-Length: 0\r\n\r\n`));
    servers.push(odd);
    const to = await portOf(odd);
    parent.answer = () => ({ reply: { Ok: { address: REACHED } }, to });
    const upgrade = 'Connection: Upgrade\r\nUpgrade: echo\r\n\r\n';
    for (const [sent, fault] of [
      ['HTTP/1.1 200 a\x01b', /^HTTP\/1.1 502 [\s\S]*its reason is no text$/],
      ['HTTP/1.1 099 Odd', /^HTTP\/1.1 502 [\s\S]*its status is none$/],
    ] as const) {
      line = sent;
      assert.match(await curl('-i', 'http://example.com/'), fault);
      assert.match(await raw(`GET http://example.com/ HTTP/1.1\r\nHost: x\r\n${upgrade}`), fault);
    }
  });

  it('answers 431 to a head that is too large', async () => {
    assert.match(
      await raw(`GET http://example.com/ HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1.1 431 /,
    );
  });

  it('does not let Connection take the length away', async () => {
    await raw(
      'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nConnection: Content-Length, close\r\nContent-Length: 3\r\n\r\nabc',
    );
    assert.equal(bodies[0]?.toString(), 'abc');
  });
});
