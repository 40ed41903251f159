import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { HttpHarness, sendRaw } from './http-harness.ts';

/** What could be read in two ways, and what a strict reader refuses. A second request hides behind most of them. */
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n';
const INVALID = {
  'a length beside chunks': `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunks beside a length': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'two lengths': `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello${HIDDEN}`,
  'a list of lengths': `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello${HIDDEN}`,
  'a length with a sign': `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello${HIDDEN}`,
  'a length that nobody can count': `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n${HIDDEN}`,
  'a coding before chunked': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a coding that is none': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'chunked twice': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a blank before the colon': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a folded header': `POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n${HIDDEN}`,
  'chunks in HTTP/1.0': `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'lines ended by LF alone': `GET / HTTP/1.1\nHost: a\n\n${HIDDEN}`,
  'a header ended by CR alone': `GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n${HIDDEN}`,
  'a chunk size ended by LF alone': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n${HIDDEN}`,
  'a chunk size that overflows': `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n${HIDDEN}`,
  'a NUL in a header': `GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n${HIDDEN}`,
  'no Host': `GET / HTTP/1.1\r\n\r\n${HIDDEN}`,
  'two Hosts': `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${HIDDEN}`,
  'no version': `GET /\r\n\r\n${HIDDEN}`,
  'a version of its own': `GET / HTTP/3.0\r\nHost: a\r\n\r\n${HIDDEN}`,
  'a target that is no path': 'GET x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'a target of another scheme': 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'bytes that are no HTTP': '\x16\x03\x01\x02\x00\x01',
};

describe('HTTP mode: what it refuses', () => {
  let harness: HttpHarness;
  let port: number;
  let seen: string[];

  beforeEach(async () => {
    harness = await HttpHarness.start();
    const { published } = await harness.publish('a');
    port = published.port;
    seen = [];
    harness.serve('a', (incoming, response) => {
      seen.push(incoming.url ?? '');
      incoming.resume().once('end', () => response.end('ok'));
    });
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  for (const [name, bytes] of Object.entries(INVALID)) {
    it(`answers 400 to ${name}, and carries out nothing behind it`, async () => {
      const answer = await sendRaw(port, bytes);
      assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.match(answer, /\r\nEnclaver-Error: REQUEST_INVALID\r\n/);
      assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1);
      assert.doesNotMatch(answer, /node|llhttp|HPE_/i);
      assert.ok(!seen.includes('/hidden'), seen.join(' '));
    });
  }

  it('takes a target in absolute form for the host that Host names, and for no other', async () => {
    const answer = await sendRaw(port, 'GET http://a:80/x?y HTTP/1.1\r\nHost: A:80\r\nConnection: close\r\n\r\n');
    assert.match(answer, /^HTTP\/1\.1 200 /);
    await sendRaw(port, 'OPTIONS http://a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await sendRaw(port, 'GET http://a?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.deepEqual(seen, ['/x?y', '*', '/?y']);
    const other = await sendRaw(port, 'GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(other, /^HTTP\/1\.1 400 [\s\S]*HOST_INVALID/);
  });

  it('answers 400 to a Host that is no name', async () => {
    for (const host of ['a b', 'a/b', 'user@a', 'a:b', '[::1', '', 'a,b', `${'a'.repeat(300)}`]) {
      const answer = await sendRaw(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*HOST_INVALID/, host);
    }
    assert.deepEqual(seen, []);
  });

  it('answers 431 to a head of too many bytes, or too many fields, whichever comes', async () => {
    const long = await sendRaw(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17 * 1024)}\r\n\r\n`);
    assert.match(long, /^HTTP\/1\.1 431 [\s\S]*REQUEST_TOO_LARGE/);
    const fields = Array.from({ length: 129 }, (_, number) => `X${number}: 1\r\n`).join('');
    const many = await sendRaw(port, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`);
    assert.match(many, /^HTTP\/1\.1 431 [\s\S]*REQUEST_TOO_LARGE/);
    assert.deepEqual(seen, []);
  });

  it('answers 405 to CONNECT', async () => {
    assert.match(
      await sendRaw(port, 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'),
      /^HTTP\/1\.1 405 [\s\S]*METHOD_REFUSED/,
    );
  });

  it('answers 400 to a method in small letters, which HTTP/1.1 inside would take for the one in capitals', async () => {
    harness.serveRaw('a', (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno')),
    );
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    for (const method of ['connect', 'get', 'Patch']) {
      const stream = session.request({ ':method': method, ':path': '/x' });
      const [headers] = await once(stream, 'response');
      assert.equal(headers[':status'], 400, method);
      assert.match(await text(stream), /REQUEST_INVALID/);
    }
    session.close();
    assert.match(await sendRaw(port, 'get / HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 400 /);
  });

  it('brings a body of DELETE with its request, in chunks or with a length', async () => {
    const bodies: string[] = [];
    harness.serve('a', (incoming, response) => {
      let body = '';
      incoming.on('data', (data: Buffer) => {
        body += data;
      });
      incoming.on('end', () => {
        bodies.push(`${incoming.url} ${body}`);
        response.end('ok');
      });
    });
    const chunk = HIDDEN.length.toString(16);
    await sendRaw(
      port,
      `DELETE /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk}\r\n${HIDDEN}\r\n0\r\n\r\n`,
    );
    await sendRaw(
      port,
      `DELETE /2 HTTP/1.1\r\nHost: a\r\nContent-Length: ${HIDDEN.length}\r\nConnection: close\r\n\r\n${HIDDEN}`,
    );
    assert.deepEqual(bodies, [`/1 ${HIDDEN}`, `/2 ${HIDDEN}`]);
  });

  it('serves a connection whose first bytes come one by one, of either version', async () => {
    for (const [bytes, expected] of [
      ['PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 200 /],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', /^\0\0/],
    ] as const) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      for (const byte of Buffer.from(bytes, 'latin1')) {
        socket.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      const [first] = (await once(socket, 'data')) as [Buffer];
      assert.match(first.toString('latin1'), expected);
      socket.destroy();
    }
  });
});
