import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { HttpHarness } from './http-harness.ts';

/** An update leads the ports of an enclave to the one that replaces it: what clients see of that, at routes. */
describe('HTTP mode: a route that moves to another enclave', () => {
  let harness: HttpHarness;
  let opened: Awaited<ReturnType<HttpHarness['publish']>>;
  let port: number;
  let release: PromiseWithResolvers<void>;

  beforeEach(async () => {
    harness = await HttpHarness.start();
    release = Promise.withResolvers();
    opened = await harness.publish('old');
    port = opened.published.port;
    for (const id of ['old', 'new']) {
      await harness.guest(id);
      harness.serve(id, (incoming, response) => {
        incoming.resume();
        if (incoming.url !== '/hold') {
          incoming.once('end', () => response.end(id));
          return;
        }
        response.write('begun at ');
        void release.promise.then(() => response.end(id));
      });
    }
  });

  afterEach(async () => {
    release.resolve();
    await harness[Symbol.asyncDispose]();
  });

  const retarget = async (): Promise<void> => await opened.retarget(harness.destination('new'));

  /** Asks again and again, one request at a time; gives the answers. */
  const asking = (ask: (number: number) => Promise<string>) => {
    const answers: string[] = [];
    let stopped = false;
    const all = (async () => {
      while (!stopped) answers.push(await ask(answers.length));
    })();
    return {
      answers,
      stop: async () => {
        stopped = true;
        await all;
      },
    };
  };

  it('fails no request on connections that are kept, of either version, and carries those under way to their end', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const http1 = async (number: number): Promise<string> => {
      // Those that cannot be sent twice among them
      const method = number % 2 === 0 ? 'GET' : 'POST';
      const outgoing = request({ host: '127.0.0.1', port, agent, method }).end();
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      assert.equal(answer.statusCode, 200);
      return await text(answer);
    };
    const session: ClientHttp2Session = connectHttp2(`http://127.0.0.1:${port}`);
    const http2 = async (number: number): Promise<string> => {
      const stream = session.request({ ':method': number % 2 === 0 ? 'GET' : 'POST' }, { endStream: true });
      const [headers] = await once(stream, 'response');
      assert.equal(headers[':status'], 200);
      return await text(stream);
    };
    const loads = [asking(http1), asking(http2)];
    const held = session.request({ ':path': '/hold' });
    await once(held, 'response');
    const enough = async (word: string): Promise<void> => {
      const count = () => loads.map(({ answers }) => answers.filter((answer) => answer === word).length);
      while (count().some((seen) => seen < 50)) await new Promise(setImmediate);
    };
    await enough('old');
    await retarget();
    await enough('new');
    await Promise.all(loads.map((load) => load.stop()));
    for (const { answers } of loads) {
      assert.ok(answers.every((answer) => answer === 'old' || answer === 'new'));
      // Once it has moved no request finds its way to the old one
      assert.ok(answers.indexOf('new') > answers.lastIndexOf('old'));
    }
    // What was under way keeps the old enclave from being drained, and ends there
    assert.equal(harness.group('old').stats().active, 1);
    release.resolve();
    assert.equal(await text(held), 'begun at old');
    while (harness.group('old').stats().active > 0) await new Promise(setImmediate);
    const stats = opened.stats();
    assert.deepEqual([stats.failed, stats.aborted, stats.timedOut], [0, 0, 0]);
    session.close();
    agent.destroy();
  });

  it('leaves upgraded connections with the enclave that agreed to them', async () => {
    harness.serveRaw('old', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
        socket.on('data', (data) => socket.write(`old ${data}`));
      });
    });
    const joined = connect(port, '127.0.0.1');
    joined.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(joined, 'data');
    await retarget();
    joined.write('word');
    assert.equal(String((await once(joined, 'data'))[0]), 'old word');
    assert.equal(harness.group('old').stats().active, 1);
    // A vsock device does not pass on an end alone
    joined.resetAndDestroy();
    while (harness.group('old').stats().active > 0) await new Promise(setImmediate);
  });
});
