import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { buffer, text } from 'node:stream/consumers';
import { echo } from '../../../libs/http-forward/test/websocket-echo.ts';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

/** An app that gives back what it was asked, as JSON. */
const mirror: RequestListener = (incoming, response) => {
  void text(incoming).then((body) => {
    const { method, url, rawHeaders, rawTrailers } = incoming;
    response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, body }));
  });
};

const asked = (
  answer: string,
): { method: string; url: string; rawHeaders: string[]; rawTrailers: string[]; body: string } =>
  JSON.parse(answer.slice(answer.indexOf('{"method"'), answer.lastIndexOf('}') + 1));

const valuesOf = (rawHeaders: string[], name: string): string[] =>
  rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);

const VERSIONS = ['--http1.1', '--http2-prior-knowledge'];

describe('HTTP mode', () => {
  let harness: HttpHarness;
  let opened: Awaited<ReturnType<HttpHarness['publish']>>;
  let port: number;

  beforeEach(async () => {
    harness = await HttpHarness.start();
    opened = await harness.publish('a');
    port = opened.published.port;
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  it('brings a request of curl to the app and its answer back, whatever the version, and the path byte for byte', async () => {
    harness.serve('a', mirror);
    for (const version of [...VERSIONS, '--http1.0', '--http2']) {
      const answer = await curl(version, '--path-as-is', `http://127.0.0.1:${port}/x/../y//z?q=%2e`);
      assert.match(answer, version.includes('prior') ? /^HTTP\/2 200/ : /^HTTP\/1\.1 200/);
      assert.equal(asked(answer).url, '/x/../y//z?q=%2e');
      assert.deepEqual(valuesOf(asked(answer).rawHeaders, 'host'), [`127.0.0.1:${port}`]);
    }
  });

  it('says who asks, in the place of what the client says of it', async () => {
    harness.serve('a', mirror);
    const claims = [
      'X-Forwarded-For: 6.6.6.6',
      'x_forwarded_for: 6.6.6.6',
      'X-Forwarded-Prefix: /6',
      'Forwarded: for=6.6.6.6',
    ];
    claims.push('X-Real-IP: 6.6.6.6', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example');
    for (const version of VERSIONS) {
      const headers = claims.flatMap((claim) => ['-H', claim]);
      const { rawHeaders } = asked(
        await curl(version, ...headers, '-H', 'Host: a.example.com', `http://127.0.0.1:${port}/`),
      );
      assert.ok(!rawHeaders.some((word) => word.includes('6.6.6.6') || word === '/6'), rawHeaders.join(' '));
      assert.deepEqual(valuesOf(rawHeaders, 'x-forwarded-for'), ['127.0.0.1']);
      assert.deepEqual(valuesOf(rawHeaders, 'x-forwarded-proto'), ['http']);
      assert.deepEqual(valuesOf(rawHeaders, 'x-forwarded-host'), ['a.example.com']);
      assert.deepEqual(valuesOf(rawHeaders, 'x-forwarded-port'), [String(port)]);
    }
  });

  it('ends headers of the connection, with those that Connection names, in both directions', async () => {
    harness.serve('a', (incoming, response) => {
      response.setHeader('Connection', 'keep-alive, X-Hop-Back');
      response.setHeader('X-Hop-Back', '1');
      response.setHeader('Proxy-Authenticate', 'Basic');
      response.setHeader('Set-Cookie', ['a=1', 'b=2']);
      mirror(incoming, response);
    });
    const answer = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n\r\n',
    );
    const names = asked(answer).rawHeaders.filter((_, index) => index % 2 === 0);
    assert.deepEqual(
      names.map((name) => name.toLowerCase()).filter((name) => !name.startsWith('x-forwarded-')),
      ['host', 'x-kept', 'connection'],
    );
    assert.doesNotMatch(answer, /hop-back|proxy-authenticate/i);
    assert.match(answer, /Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n/i);
    const http2 = await curl('--http2-prior-knowledge', `http://127.0.0.1:${port}/`);
    assert.match(http2, /set-cookie: a=1\r\nset-cookie: b=2\r\n/);
    assert.doesNotMatch(http2, /hop-back|connection:/i);
  });

  it('brings fields that come twice to clients of either version, whatever they are', async () => {
    harness.serve('a', (_incoming, response) => {
      response.setHeader('X-Content-Type-Options', ['nosniff', 'nosniff']);
      response.write('body\n');
      response.addTrailers([
        ['ETag', '"a"'],
        ['ETag', '"b"'],
      ]);
      response.end();
    });
    for (const version of VERSIONS) {
      const answer = await curl(version, `http://127.0.0.1:${port}/`);
      assert.match(answer, / 200 /);
      assert.equal(answer.match(/^x-content-type-options: nosniff\r$/gim)?.length, 2);
      assert.deepEqual(
        answer.match(/^etag: .*\r$/gim)?.map((line) => line.slice(6, 9)),
        ['"a"', '"b"'],
      );
    }
  });

  it('streams bodies both ways, in chunks or with a length', async () => {
    const sent = randomBytes(8 * 1024 * 1024);
    harness.serve('a', (incoming, response) => incoming.pipe(response));
    for (const length of [undefined, sent.length]) {
      const headers = length === undefined ? {} : { 'Content-Length': length };
      const outgoing = request({ host: '127.0.0.1', port, method: 'PUT', headers, agent: false });
      outgoing.end(sent);
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      assert.ok((await buffer(answer)).equals(sent));
    }
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'PUT' });
    stream.end(sent);
    const hash = createHash('sha256')
      .update(await buffer(stream))
      .digest('hex');
    assert.equal(hash, createHash('sha256').update(sent).digest('hex'));
    session.close();
  });

  it('brings the first bytes of an answer before the last are there', async () => {
    const more = Promise.withResolvers<void>();
    harness.serve('a', (_incoming, response) => {
      response.write('first');
      void more.promise.then(() => response.end('last'));
    });
    const outgoing = request({ host: '127.0.0.1', port, agent: false }).end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const [first] = (await once(answer, 'data')) as [Buffer];
    assert.equal(first.toString(), 'first');
    more.resolve();
    assert.equal(await text(answer), 'last');
  });

  it('reads no more of the app than the client takes', async () => {
    let written = 0;
    harness.serve('a', (_incoming, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const write = (): void => {
        while (written < 256 * 1024 * 1024 && response.write(chunk)) written += chunk.length;
      };
      response.on('drain', write);
      write();
    });
    const outgoing = request({ host: '127.0.0.1', port, agent: false }).end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    // Nobody reads: what is written is what kernel and streams hold on the way, and then stands still
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes were taken`);
    answer.destroy();
  });

  it('passes trailers on, both ways', async () => {
    harness.serve('a', (incoming, response) => {
      void text(incoming).then(() => {
        response.write('body');
        response.addTrailers({ 'X-Back': String(incoming.trailers['x-there']) });
        response.end();
      });
    });
    const outgoing = request({ host: '127.0.0.1', port, method: 'POST', agent: false });
    outgoing.write('body');
    outgoing.addTrailers({ 'X-There': 'seen' });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal(await text(answer), 'body');
    assert.equal(answer.trailers['x-back'], 'seen');
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-there': 'seen' }));
    const trailers = once(stream, 'trailers');
    stream.end('body');
    assert.equal(await text(stream), 'body');
    assert.equal((await trailers)[0]['x-back'], 'seen');
    session.close();
  });

  it('passes no trailer on that HTTP/2 does not have, and goes on', async () => {
    harness.serve('a', (incoming, response) => {
      void text(incoming).then(() => {
        response.write('body');
        response.addTrailers({ 'HTTP2-Settings': 'x', 'X-Back': '1' });
        response.end();
      });
    });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request();
    const trailers = once(stream, 'trailers');
    assert.equal(await text(stream), 'body');
    assert.deepEqual(Object.keys((await trailers)[0]), ['x-back']);
    session.close();
  });

  it('takes out of the trailers of a request what only a proxy may say, and what belongs in front of a body', async () => {
    harness.serve('a', mirror);
    const sent = {
      'x-forwarded-for': '6.6.6.6',
      x_real_ip: '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      authorization: 'Basic eDp5',
      cookie: 'a=b',
      'content-encoding': 'gzip',
      host: 'other',
      'x-kept': '1',
    };
    const lines = Object.entries(sent)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.deepEqual(asked(await sendRaw(port, `${head}1\r\nx\r\n0\r\n${lines}\r\n`)).rawTrailers, ['x-kept', '1']);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ ...sent, 'content-length': '1' }));
    stream.end('x');
    assert.deepEqual(asked(await text(stream)).rawTrailers, ['x-kept', '1']);
    session.close();
  });

  it('leaves 100 Continue to the app', async () => {
    const server = createServer();
    const seen: string[] = [];
    server.on('checkContinue', (incoming, response) => {
      seen.push(incoming.url ?? '');
      if (incoming.url === '/no') {
        response.writeHead(403).end('no');
        return;
      }
      response.writeContinue();
      mirror(incoming, response);
    });
    harness.serve('a', mirror, server);
    const ask = async (path: string): Promise<[boolean, IncomingMessage]> => {
      const outgoing = request({
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        headers: { Expect: '100-continue' },
        agent: false,
      });
      let allowed = false;
      outgoing.on('error', () => undefined);
      outgoing.on('continue', () => {
        allowed = true;
        outgoing.end('body');
      });
      outgoing.flushHeaders();
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      return [allowed, answer];
    };
    const [allowed, answer] = await ask('/yes');
    assert.ok(allowed);
    assert.equal(asked(await text(answer)).body, 'body');
    const [refused, forbidden] = await ask('/no');
    assert.ok(!refused);
    assert.equal(forbidden.statusCode, 403);
    assert.deepEqual(seen, ['/yes', '/no']);
  });

  it('answers HEAD, 204 and 304 without a body, and goes on', async () => {
    harness.serve('a', (incoming, response) => {
      if (incoming.method === 'HEAD') response.writeHead(200, { 'Content-Length': 100 }).end();
      else response.writeHead(Number(incoming.url?.slice(1))).end();
    });
    const url = `http://127.0.0.1:${port}`;
    for (const version of VERSIONS) {
      assert.match(await curl(version, '-I', url), /200[\s\S]*content-length: 100\r\n/i);
      for (const status of [204, 304]) assert.match(await curl(version, `${url}/${status}`), RegExp(` ${status} `));
    }
  });

  it('keeps connections to the app for requests that can be sent twice', async () => {
    const seen = harness.serve('a', mirror);
    for (let i = 0; i < 5; i++) await curl(`http://127.0.0.1:${port}/`);
    assert.equal(seen.connections, 1);
    await curl('-d', 'x', `http://127.0.0.1:${port}/`);
    assert.equal(seen.connections, 2);
  });

  it('asks again on a new connection when the app has closed the kept one', async () => {
    const seen = harness.serve('a', mirror);
    const count = (): number => seen.connections;
    await curl(`http://127.0.0.1:${port}/`);
    for (const socket of seen.sockets) socket.destroy();
    assert.match(await curl(`http://127.0.0.1:${port}/`), / 200 /);
    assert.equal(count(), 2);
  });

  it('carries WebSocket of Node’s client', async () => {
    const server = createServer();
    echo(server);
    harness.serve('a', mirror, server);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    await once(socket, 'open');
    for (const word of ['hello', 'again']) {
      socket.send(word);
      const [{ data }] = (await once(socket, 'message')) as [MessageEvent];
      assert.equal(data, word);
    }
    const closed = once(socket, 'close');
    socket.close();
    await closed;
  });

  it('gives the app’s answer to a WebSocket that it does not want', async () => {
    harness.serve(
      'a',
      (_incoming, response) => response.writeHead(403).end('no'),
      createServer({ shouldUpgradeCallback: () => false }),
    );
    const answer = await sendRaw(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1\.1 403 /);
    assert.match(answer, /no/);
  });
});
