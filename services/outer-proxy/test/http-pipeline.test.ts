import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { limits } from '../src/limits.ts';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

describe('requests of one connection of HTTP/1.1, sent at once', () => {
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

  it('serves several requests of one client connection, sent at once', async () => {
    harness.serve('a', (incoming, response) => response.end(incoming.url));
    const one = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    const answer = await sendRaw(port, `${one('/a')}${one('/b')}${one('/c', 'Connection: close\r\n')}`);
    assert.deepEqual(answer.match(/\/[abc]/g), ['/a', '/b', '/c']);
  });

  describe('of which one is held', () => {
    let seen: string[];
    let release: PromiseWithResolvers<void>;
    let held: PromiseWithResolvers<void>;
    /** To what is held. */
    let answer: string;

    beforeEach(() => {
      seen = [];
      answer = 'held';
      release = Promise.withResolvers();
      held = Promise.withResolvers();
      const server = createServer();
      server.on('upgrade', (_incoming, socket) => {
        seen.push('upgrade');
        socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      });
      harness.serve(
        'a',
        (incoming, response) => {
          seen.push(`${incoming.method} ${incoming.url}`);
          if (incoming.url !== '/hold') return void response.end('ok');
          held.resolve();
          void release.promise.then(() => response.end(answer));
        },
        server,
      );
    });

    const post = 'POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
    const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    /** What stands in front of the bodies of the answers. */
    const statuses = (answers: string): string[] => answers.match(/(?<=HTTP\/1\.1 )\d+/g) ?? [];

    it('begins each when the one before is answered, which it may depend on', async () => {
      const remove = 'DELETE /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
      const answers = sendRaw(port, `${post}${get('/b')}${remove}`);
      await held.promise;
      await curl(`http://127.0.0.1:${port}/other`);
      assert.deepEqual(seen, ['POST /hold', 'GET /other']);
      release.resolve();
      assert.deepEqual(statuses(await answers), ['200', '200', '200']);
      assert.deepEqual(seen.slice(2), ['GET /b', 'DELETE /c']);
    });

    it('answers what is no request, no use or another protocol behind them in its turn, and those before whole', async () => {
      // More than there is room for at once
      answer = 'held'.repeat(2_000_000);
      for (const [behind, status] of [
        ['no request\r\n\r\n', '400'],
        ['CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', '405'],
        [get('/', 'Connection: Upgrade\r\nUpgrade: x\r\n'), '101'],
      ] as const) {
        seen = [];
        release = Promise.withResolvers();
        held = Promise.withResolvers();
        const answers = sendRaw(port, `${post}${behind}`);
        await held.promise;
        await curl(`http://127.0.0.1:${port}/other`);
        release.resolve();
        assert.deepEqual(statuses(await answers), ['200', status]);
        assert.ok((await answers).includes(answer), status);
      }
    });

    it('carries out nothing behind one that is the last of its connection, or whose client is gone', async () => {
      const answers = sendRaw(port, `${get('/hold', 'Connection: close\r\n')}${get('/b')}`);
      await held.promise;
      release.resolve();
      assert.deepEqual(statuses(await answers), ['200']);
      held = Promise.withResolvers();
      release = Promise.withResolvers();
      const client = connect(port, '127.0.0.1');
      client.write(`${post}${get('/b')}`);
      await held.promise;
      client.destroy();
      while (opened.stats().active > 0) await new Promise(setImmediate);
      await curl(`http://127.0.0.1:${port}/other`);
      assert.deepEqual(seen, ['GET /hold', 'POST /hold', 'GET /other']);
    });

    it('closes a connection on which too many wait', async () => {
      const answers = sendRaw(port, `${post}${get('/b').repeat(limits.httpStreams + 1)}`);
      assert.deepEqual(statuses(await answers), []);
      assert.ok(!seen.includes('GET /b'));
    });
  });
});
