import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import { text } from 'node:stream/consumers';
import { pairs } from '@enclaver/http-forward';
import { curl, HttpHarness, sendRaw } from './http-harness.ts';

describe('HTTP mode with h2c to the app', () => {
  let harness: HttpHarness;
  let port: number;

  beforeEach(async () => {
    harness = await HttpHarness.start();
    ({ port } = (await harness.publish('a')).published);
    const { published } = await harness.publish('grpc', { h2c: true, host: 'grpc.example.com' }, { port });
    assert.equal(published.port, port);
    const app = createHttp2();
    app.on('stream', (stream, headers, _flags, raw) => {
      const fields = [...pairs(raw as unknown as string[])].map((pair) => pair.join('='));
      if (headers.expect !== undefined) stream.additionalHeaders({ ':status': 100 });
      void text(stream).then((body) => {
        stream.respond(
          {
            ':status': 200,
            'x-te': headers.te,
            'x-authority': headers[':authority'],
            'x-fields': fields.join(' '),
          },
          { waitForTrailers: true },
        );
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(`${headers[':method']} ${headers[':path']} ${body}`);
      });
    });
    let connections = 0;
    harness.serveRaw('grpc', (socket) => {
      connections++;
      app.emit('connection', socket);
    });
    count = () => connections;
  });
  let count: () => number;

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  it('brings requests of HTTP/2 with their trailers, all on one connection', async () => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const ask = async (number: number): Promise<void> => {
      const stream = session.request({
        ':method': 'POST',
        ':path': `/${number}`,
        ':authority': 'grpc.example.com',
        te: 'trailers',
      });
      const trailers = once(stream, 'trailers');
      const [headers] = await Promise.all([
        once(stream, 'response').then(([head]) => head),
        stream.end(`body ${number}`),
      ]);
      assert.equal(headers['x-te'], 'trailers');
      assert.equal(headers['x-authority'], 'grpc.example.com');
      assert.equal(await text(stream), `POST /${number} body ${number}`);
      assert.equal((await trailers)[0]['grpc-status'], '0');
    };
    await Promise.all(Array.from({ length: 50 }, (_, number) => ask(number)));
    assert.equal(count(), 1);
    session.close();
  });

  it('brings fields that come twice, and such as have the name of something in JavaScript', async () => {
    const twice = [
      '-H',
      'If-None-Match: "a"',
      '-H',
      'If-None-Match: "b"',
      '-H',
      'constructor: x',
      '-H',
      '__proto__: y',
    ];
    const answer = await curl(...twice, '-H', 'Host: grpc.example.com', `http://127.0.0.1:${port}/`);
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*x-fields: .*if-none-match="a" if-none-match="b" .*\r\n/);
    assert.match(answer, /x-fields: .* constructor=x __proto__=y /);
  });

  it('passes no trailer on that HTTP/2 does not have, and goes on', async () => {
    const head = 'POST / HTTP/1.1\r\nHost: grpc.example.com\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    for (let turn = 0; turn < 2; turn++) {
      assert.match(
        await sendRaw(port, `${head}1\r\nx\r\n0\r\nHTTP2-Settings: a\r\n\r\n`),
        /^HTTP\/1\.1 200 [\s\S]*POST \/ x/,
      );
    }
  });

  it('leaves 100 Continue to the app', async () => {
    const headers = { Expect: '100-continue', Host: 'grpc.example.com' };
    const outgoing = request({ host: '127.0.0.1', port, method: 'POST', headers, agent: false });
    outgoing.flushHeaders();
    await once(outgoing, 'continue');
    outgoing.end('asked for');
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    assert.equal(await text(answer), 'POST / asked for');
  });

  it('goes on with another connection when one has had all its requests', async () => {
    const url = `http://127.0.0.1:${port}/`;
    const created = Promise.withResolvers<ClientHttp2Session>();
    const note = (message: unknown): void =>
      created.resolve((message as { stream: { session: ClientHttp2Session } }).stream.session);
    subscribe('http2.client.stream.created', note);
    assert.match(await curl('-H', 'Host: grpc.example.com', url), / 200 /);
    unsubscribe('http2.client.stream.created', note);
    // Undocumented
    const session = (await created.promise) as ClientHttp2Session & { setNextStreamID(id: number): void };
    session.setNextStreamID(2 ** 31 - 1);
    const statuses: string[] = [];
    for (let turn = 0; turn < 3; turn++)
      statuses.push(/^HTTP\/1\.1 (\d+)/.exec(await curl('-H', 'Host: grpc.example.com', url))?.[1] ?? '');
    assert.equal(statuses.at(-1), '200', `${statuses}`);
    assert.equal(count(), 2);
  });

  it('serves clients of HTTP/1.1, too, and refuses Upgrade', async () => {
    const answer = await curl('-H', 'Host: grpc.example.com', '-d', 'x', `http://127.0.0.1:${port}/y`);
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*POST \/y x/);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    const refused = await sendRaw(port, `GET / HTTP/1.1\r\nHost: grpc.example.com\r\n${upgrade}\r\n`);
    assert.match(refused, /^HTTP\/1\.1 501 [\s\S]*Enclaver-Error: UPGRADE_REFUSED\r\n/);
  });
});
