import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

const VERSIONS = ['--http1.1', '--http2-prior-knowledge'];

describe('HTTP mode: when something breaks', () => {
  let harness: HttpHarness;
  let opened: Awaited<ReturnType<HttpHarness['publish']>>;
  let port: number;

  beforeEach(async () => {
    harness = await HttpHarness.start({
      httpAnswerMs: 200,
      httpBodyMs: 200,
      httpHeadersMs: 200,
      httpKeepAliveMs: 200,
      httpRequests: 2,
    });
    opened = await harness.publish('a');
    port = opened.published.port;
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  const fails = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    for (const version of VERSIONS) assert.match(await curl(version, ...args, `http://127.0.0.1:${port}/`), pattern);
  };

  it('answers 502 when nobody listens inside', async () => {
    await fails(
      / 502 [\s\S]*enclaver-error: ENCLAVE_UNREACHABLE\r\n[\s\S]*{"code":"ENCLAVE_UNREACHABLE","message":".*"}\n$/i,
    );
  });

  it('answers 502 when the app closes without an answer, or gives one that is no HTTP', async () => {
    for (const bytes of [
      '',
      'SSH-2.0-OpenSSH\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    ]) {
      harness.serveRaw('a', (socket) => socket.once('data', () => socket.end(bytes)));
      await fails(/ 502 [\s\S]*enclaver-error: ENCLAVE_BROKE_OFF\r\n/i);
    }
  });

  it('answers 504 when the app does not answer in time, and takes back what it asked', async () => {
    let closed = 0;
    harness.serve('a', (incoming) => incoming.socket.once('close', () => closed++));
    await fails(/ 504 [\s\S]*enclaver-error: ENCLAVE_TIMEOUT\r\n/i);
    await fails(/ 504 [\s\S]*enclaver-error: ENCLAVE_TIMEOUT\r\n/i, '-d', 'body');
    while (closed < 4) await new Promise(setImmediate);
    assert.equal(opened.stats().timedOut, 4);
  });

  it('answers 408 to a body that stands still', async () => {
    harness.serve('a', (incoming, response) => incoming.resume().once('end', () => response.end()));
    const answer = await sendRaw(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
    assert.match(answer, /^HTTP\/1\.1 408 [\s\S]*REQUEST_TIMEOUT/);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST' });
    stream.write('half');
    stream.on('error', () => undefined);
    const [headers] = await once(stream, 'response');
    assert.equal(headers[':status'], 408);
    session.destroy();
  });

  it('lets a body take as long as it likes while it moves', async () => {
    await harness[Symbol.asyncDispose]();
    harness = await HttpHarness.start({ httpBodyMs: 2_000 });
    ({ port } = (await harness.publish('a')).published);
    harness.serve('a', (incoming, response) => void text(incoming).then((body) => response.end(body)));
    const outgoing = request({ host: '127.0.0.1', port, method: 'POST', agent: false });
    for (let i = 0; i < 8; i++) {
      outgoing.write('x');
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal(await text(answer), 'xxxxxxxx');
  });

  it('closes connections that do not ask, of either version', async () => {
    const [silent, preface] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    preface.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    for (const socket of [silent, preface]) socket.resume().on('error', () => undefined);
    await Promise.all([once(silent, 'close'), once(preface, 'close')]);
  });

  it('shows a client that an answer broke off', async () => {
    harness.serveRaw('a', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
        setTimeout(() => socket.destroy(), 20);
      });
    });
    const outgoing = request({ host: '127.0.0.1', port, agent: false }).end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    await assert.rejects(text(answer), { code: 'ECONNRESET' });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const stream = session.request();
    await assert.rejects(text(stream), /NGHTTP2_INTERNAL_ERROR/);
    session.close();
    assert.equal(opened.stats().failed, 2);
    harness.serveRaw('a', (socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello')),
    );
    const upgrade = 'Connection: Upgrade\r\nUpgrade: x\r\n';
    assert.match(
      await sendRaw(port, `GET / HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`),
      /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nhello$/,
    );
  });

  it('closes a connection on which the app changes to another protocol unasked', async () => {
    let closed = 0;
    harness.serveRaw('a', (socket) => {
      socket.on('error', () => undefined).on('close', () => closed++);
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
      );
    });
    await fails(/ 502 /);
    while (closed < VERSIONS.length) await new Promise(setImmediate);
  });

  it('outlives a kept connection to an app that breaks with bytes of a body unread', async () => {
    const broken = Promise.withResolvers<void>();
    harness.serveRaw('a', (socket) => {
      socket.once('data', () => {
        socket.pause();
        // When all of the body lies in its buffers
        setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 100);
        setTimeout(() => socket.destroy(), 200);
        socket.once('close', () => broken.resolve());
      });
    });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n';
    assert.match(await sendRaw(port, head + 'x'.repeat(200_000)), /^HTTP\/1\.1 200 /);
    await broken.promise;
    harness.serve('a', (_incoming, response) => response.end('served'));
    assert.match(await curl(`http://127.0.0.1:${port}/`), /served/);
  });

  it('keeps a connection no longer than others on which the rest of a refused body comes', async () => {
    harness.serveRaw('a', (socket) =>
      socket.once('data', () => {
        socket.write('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        socket.destroySoon();
      }),
    );
    const client = connect(port, '127.0.0.1');
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nmore');
    const [answer] = await once(client, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 413 /);
    client.write('rest');
    await once(client.resume(), 'close');
  });

  it('closes the enclave’s side of an upgraded connection whose client breaks off in that moment', async () => {
    const closed = Promise.withResolvers<void>();
    harness.serveRaw('a', (guest) => {
      guest.on('close', () => closed.resolve()).on('error', () => undefined);
      guest.once('data', () => {
        client.resetAndDestroy();
        client.once('close', () =>
          guest.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
        );
      });
    });
    const client = connect(port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await closed.promise;
  });

  it('takes back what it asked when the client goes away, before an answer and in the middle of it', async () => {
    for (const body of [undefined, 'begun']) {
      for (const code of [undefined, constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR]) {
        const asked = Promise.withResolvers<void>();
        const closed = Promise.withResolvers<void>();
        harness.serveRaw('a', (socket) => {
          socket.once('data', () => {
            if (body !== undefined) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${body}`);
            asked.resolve();
          });
          socket.on('close', () => closed.resolve());
        });
        if (code === undefined) {
          const outgoing = request({ host: '127.0.0.1', port, agent: false });
          outgoing.on('error', () => undefined).end();
          outgoing.on('response', (answer) => answer.on('error', () => undefined));
          await (body === undefined ? asked.promise : once(outgoing, 'response'));
          outgoing.destroy();
        } else {
          const session = connectHttp2(`http://127.0.0.1:${port}`);
          const stream = session.request();
          await (body === undefined ? asked.promise : once(stream, 'response'));
          stream.close(code);
          await closed.promise;
          session.destroy();
        }
        await closed.promise;
      }
    }
    while (opened.stats().active > 0) await new Promise(setImmediate);
    assert.equal(opened.stats().aborted, 6);
  });

  it('answers 503 to more requests than one enclave may have', async () => {
    const release = Promise.withResolvers<void>();
    harness.serve('a', (_incoming, response) => {
      response.flushHeaders();
      void release.promise.then(() => response.end('ok'));
    });
    const held = [1, 2].map(() => request({ host: '127.0.0.1', port, agent: false }).end());
    const answers = await Promise.all(held.map((each) => once(each, 'response') as Promise<[IncomingMessage]>));
    await fails(/ 503 [\s\S]*enclaver-error: ENCLAVE_BUSY\r\n/i);
    assert.match(await curl(`http://127.0.0.1:${port}/`), /Retry-After: 1\r\n/i);
    release.resolve();
    for (const [answer] of answers) assert.equal(await text(answer), 'ok');
    while (opened.stats().active > 0) await new Promise(setImmediate);
    const exposed = harness.metrics.expose();
    assert.match(exposed, /^enclaver_proxy_http_requests_total\{enclave="a",outcome="answered"\} 2$/m);
    assert.match(exposed, /^enclaver_proxy_http_requests_total\{enclave="a",outcome="busy"\} 3$/m);
    assert.match(exposed, /^enclaver_proxy_http_request_seconds_count\{enclave="a"\} 2$/m);
    assert.match(await curl(`http://127.0.0.1:${port}/`), / 200 /);
  });

  it('answers 502 to an answer whose head cannot be passed on', async () => {
    harness.serveRaw('a', (socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n')),
    );
    await fails(/ 502 /);
  });

  describe('at its end', () => {
    beforeEach(async () => {
      await harness[Symbol.asyncDispose]();
      harness = await HttpHarness.start({ httpLastCallMs: 200 });
      opened = await harness.publish('a');
      port = opened.published.port;
    });

    it('lets what runs end, says that connections close, and takes no more', async () => {
      const release = Promise.withResolvers<void>();
      harness.serve('a', (incoming, response) => {
        if (incoming.url === '/short') return void response.end('short');
        response.write('begun');
        void release.promise.then(() => response.end(', whole'));
      });
      const idle = connect(port, '127.0.0.1').on('error', () => undefined);
      await once(idle, 'connect');
      const late = connect(port, '127.0.0.1');
      await once(late, 'connect');
      const kept = new Agent({ keepAlive: true, maxSockets: 1 });
      const first = request({ host: '127.0.0.1', port, path: '/short', agent: kept }).end();
      const [warm] = (await once(first, 'response')) as [IncomingMessage];
      assert.equal(await text(warm), 'short');
      const outgoing = request({ host: '127.0.0.1', port, agent: false }).end();
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      const stream = session.request();
      const [[answer]] = await Promise.all([
        once(outgoing, 'response') as Promise<[IncomingMessage]>,
        once(stream, 'response'),
      ]);
      const goaway = once(session, 'goaway');
      const closing = opened.close({ drainMs: 10_000, shared: false });
      await goaway;
      // A connection without a request may still bring one: the last
      const again = request({ host: '127.0.0.1', port, path: '/short', agent: kept }).end();
      const [last] = (await once(again, 'response')) as [IncomingMessage];
      assert.ok(again.reusedSocket);
      assert.equal(last.headers.connection, 'close');
      assert.equal(await text(last), 'short');
      late.write('GET /short HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.match(await text(late), /^HTTP\/1\.1 200 [\s\S]*Connection: close\r\n[\s\S]*short/i);
      await once(idle.resume(), 'close');
      await assert.rejects(curl(`http://127.0.0.1:${port}/`), /Failed to connect/);
      release.resolve();
      assert.equal(await text(answer), 'begun, whole');
      assert.equal(await text(stream), 'begun, whole');
      await closing;
    });

    it('cuts what has not ended in time, WebSockets among it', async () => {
      const server = createServer();
      server.on('upgrade', (_incoming, socket) => {
        socket.on('error', () => undefined);
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      });
      harness.serve('a', (_incoming, response) => response.flushHeaders(), server);
      const joined = connect(port, '127.0.0.1');
      joined.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      joined.on('error', () => undefined);
      await once(joined, 'data');
      const outgoing = request({ host: '127.0.0.1', port, agent: false }).end();
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      const ended = Promise.all([once(joined, 'close'), assert.rejects(text(answer))]);
      await opened.close({ drainMs: 100, shared: false });
      await ended;
      assert.equal(opened.stats().active, 0);
    });
  });
});
