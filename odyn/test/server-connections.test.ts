import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, createServer as createTcp, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { limits } from '../src/limits.ts';
import { EgressProxy, portOf } from './egress-proxy.ts';
import { FakeParent } from './harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('connections to servers', () => {
  let parent: FakeParent;
  let proxy: EgressProxy;
  const servers: Server[] = [];

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    proxy = await EgressProxy.open(parent, { allow: ['**'] });
  });

  afterEach(async () => {
    await proxy.close();
    await parent.close();
    for (const server of servers.splice(0)) server.close();
  });

  async function serve(server: Server): Promise<void> {
    servers.push(server);
    const to = await portOf(server);
    parent.answer = () => ({ reply: { Ok: { address: '93.184.216.34' } }, to });
  }

  /** A server of bytes: `onRequest` has the number of the connection and of the request on it, from 1. */
  async function serveRaw(onRequest: (socket: Socket, connection: number, count: number) => void): Promise<void> {
    let connections = 0;
    await serve(
      createTcp((socket) => {
        const connection = ++connections;
        let count = 0;
        socket.on('error', () => socket.destroy());
        socket.on('data', () => onRequest(socket, connection, ++count));
      }),
    );
  }

  async function ask(url: string, { method = 'GET', body = '' } = {}): Promise<string> {
    const sent = request({ host: '127.0.0.1', port: proxy.egress.port, path: url, method, agent: false });
    sent.end(body === '' ? undefined : body);
    const [answered] = (await once(sent, 'response')) as [IncomingMessage];
    return `${answered.statusCode} ${await text(answered)}`;
  }

  it('are kept for the next request to the same destination, and no other', async () => {
    await serve(createHttp((incoming, response) => response.end(incoming.headers.host)));
    for (const host of ['a.com', 'a.com', 'b.com', 'a.com:8080', 'a.com', 'b.com']) {
      assert.equal(await ask(`http://${host}/`), `200 ${host}`);
    }
    const dialled = parent.requests.map(({ host, port }) => `${host}:${port}`);
    assert.deepEqual(dialled, ['a.com:80', 'b.com:80', 'a.com:8080']);
  });

  it('carry many requests one after the other', async () => {
    await serve(createHttp((incoming, response) => response.end(incoming.url)));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    for (let i = 0; i < 50; i++) assert.equal(await ask(`http://a.com/${i}`), `200 /${i}`);
    await new Promise(setImmediate);
    process.off('warning', onWarning);
    assert.equal(parent.requests.length, 1);
    assert.deepEqual(warnings, []);
  });

  it('are not used for a request that could not be sent twice', async () => {
    await serve(createHttp((incoming, response) => void text(incoming).then((body) => response.end(body))));
    assert.equal(await ask('http://a.com/'), '200 ');
    assert.equal(await ask('http://a.com/', { method: 'POST', body: 'x' }), '200 x');
    assert.equal(parent.requests.length, 2);
    // Both are free by now
    assert.equal(await ask('http://a.com/'), '200 ');
    assert.equal(parent.requests.length, 2);
  });

  it('are made anew when the server has closed the kept one without an answer', async () => {
    await serveRaw((socket, _connection, count) => (count === 1 ? socket.write(OK) : socket.destroy()));
    for (let i = 0; i < 3; i++) assert.equal(await ask('http://a.com/'), '200 ok');
    assert.equal(parent.requests.length, 3);
  });

  it('are not asked again once an answer has begun', async () => {
    await serveRaw((socket, connection, count) => {
      if (count === 1) socket.write(connection === 1 ? OK : 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother');
      else socket.end('HTTP/1.1 2');
    });
    assert.equal(await ask('http://a.com/'), '200 ok');
    assert.match(await ask('http://a.com/'), /^502 the server broke off/);
    assert.equal(parent.requests.length, 1);
  });

  for (const [name, answer] of Object.entries({
    'closes by header': 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
    'speaks HTTP/1.0': 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'says more than one answer': `${OK}${OK.replace('ok', 'no')}`,
    'says more than the length of its answer': `${OK}x`,
    'waits for no second': 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok',
  })) {
    it(`are not kept when the server ${name}`, async () => {
      await serveRaw((socket) => socket.write(answer));
      for (let i = 1; i <= 2; i++) {
        assert.match(await ask('http://a.com/'), /^200 ok$/);
        assert.equal(parent.requests.length, i);
      }
    });
  }

  it('are closed when a server speaks unasked while they wait', async () => {
    const held: Socket[] = [];
    await serveRaw((socket) => {
      held.push(socket);
      socket.write(OK);
    });
    assert.equal(await ask('http://a.com/'), '200 ok');
    const [socket] = held;
    assert.ok(socket);
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
    await once(socket, 'close');
    assert.equal(await ask('http://a.com/'), '200 ok');
    assert.equal(parent.requests.length, 2);
  });

  it('are closed when more wait than the limit', async () => {
    let open = 0;
    const many = limits.egressIdlePerServer + 4;
    // Answered when all are there, so that none goes on with the connection of another
    const waiting: ServerResponse[] = [];
    const server = createHttp((_incoming, response) => {
      if (waiting.push(response) === many) for (const each of waiting) each.end('ok');
    });
    server.on('connection', (socket: Socket) => {
      open++;
      socket.on('close', () => open--);
    });
    await serve(server);
    await Promise.all(Array.from({ length: many }, () => ask('http://a.com/')));
    while (open > limits.egressIdlePerServer) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(open, limits.egressIdlePerServer);
  });

  it('are asked for one by one by what a client has sent ahead, an Upgrade that is refused the last of it', async () => {
    await serve(createHttp((incoming, response) => setTimeout(() => response.end(incoming.url), 50)));
    const client = connect(proxy.egress.port, '127.0.0.1');
    client.write(
      'GET http://a.com/1 HTTP/1.1\r\nHost: a.com\r\n\r\n' +
        'GET http://b.com/2 HTTP/1.1\r\nHost: b.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    assert.match(await text(client), /\/1HTTP\/1\.1 200 [\s\S]*\/2$/);
  });

  it('are not asked for an Upgrade whose client is gone when its turn comes', async () => {
    const asked: (string | undefined)[] = [];
    await serve(
      createHttp((incoming, response) => {
        asked.push(incoming.url);
        setTimeout(() => response.end('late'), 100);
      }),
    );
    const client = connect(proxy.egress.port, '127.0.0.1');
    client.end(
      'GET http://a.com/1 HTTP/1.1\r\nHost: a.com\r\n\r\n' +
        'GET http://b.com/2 HTTP/1.1\r\nHost: b.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    assert.match(await text(client), /late$/);
    assert.deepEqual(asked, ['/1']);
  });

  it('are closed when a server changes to another protocol unasked', async () => {
    const closed = Promise.withResolvers<void>();
    await serveRaw((socket) => {
      socket.on('close', () => closed.resolve());
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    });
    assert.match(await ask('http://a.com/'), /^502 /);
    await closed.promise;
  });

  it('take no more of a body that a server has refused, and leave its sender the answer', async () => {
    await serveRaw((socket, _connection, count) => {
      if (count > 1) return;
      socket.write('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      setTimeout(() => socket.destroy(), 50);
    });
    const client = connect(proxy.egress.port, '127.0.0.1');
    const body = Buffer.alloc(32 << 20, 'x');
    client.write(`POST http://a.com/ HTTP/1.1\r\nHost: a.com\r\nContent-Length: ${body.length}\r\n\r\n`);
    // One that looks for an answer when it has written all
    await new Promise<void>((resolve) => client.write(body, () => resolve()));
    const [answer] = await once(client, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 413 /);
    client.destroy();
  });

  it('are closed with a client that goes away in the middle of an answer', async () => {
    const closed = Promise.withResolvers<void>();
    await serveRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun');
      socket.on('close', () => closed.resolve());
    });
    const sent = request({ host: '127.0.0.1', port: proxy.egress.port, path: 'http://a.com/', agent: false });
    sent.end();
    const [answered] = (await once(sent, 'response')) as [IncomingMessage];
    answered.on('error', () => answered.destroy());
    sent.destroy();
    await closed.promise;
  });
});
