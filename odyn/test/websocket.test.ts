import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, type Server } from 'node:http';
import { connect, createServer as createTcp, type Socket } from 'node:net';
import { echo } from '../../libs/http-forward/test/websocket-echo.ts';
import { EgressProxy, portOf } from './egress-proxy.ts';
import { FakeParent, run } from './harness.ts';

/** What an app does with Node's own client, which takes the proxy from the environment. */
const CLIENT = `
const socket = new WebSocket('ws://example.com/chat');
socket.onopen = () => socket.send('hello');
socket.onmessage = ({ data }) => { console.log(data); socket.close(); };
socket.onerror = ({ message }) => { console.log('failed', message); process.exit(1); };
socket.onclose = ({ code }) => console.log('closed', code);
`;

describe('WebSocket through the egress proxy', () => {
  let parent: FakeParent;
  let proxy: EgressProxy;
  let server: Server;

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    proxy = await EgressProxy.open(parent, { allow: ['example.com'] });
    server = createHttp();
    echo(server);
    const to = await portOf(server);
    parent.answer = () => ({ reply: { Ok: { address: '93.184.216.34' } }, to });
  });

  afterEach(async () => {
    await proxy.close();
    await parent.close();
    server.close();
  });

  it("opens, talks and closes with Node's client", async () => {
    const env = { ...process.env, NODE_USE_ENV_PROXY: '1', http_proxy: proxy.url, no_proxy: '' };
    const { stdout } = await run(process.execPath, ['-e', CLIENT], { env });
    assert.equal(stdout, 'hello\nclosed 1005\n');
    assert.deepEqual(
      parent.requests.map(({ host, port }) => `${host}:${port}`),
      ['example.com:80'],
    );
  });

  it('lets go of a handshake that has no answer when its client does, and at the end', async () => {
    const silent = createTcp();
    const asked: Socket[] = [];
    silent.on('connection', (socket) => asked.push(socket.on('error', () => undefined)));
    const to = await portOf(silent);
    parent.answer = () => ({ reply: { Ok: { address: '93.184.216.34' } }, to });
    const ask = async (): Promise<Socket> => {
      const client = connect(proxy.egress.port, '127.0.0.1').on('error', () => undefined);
      client.write(
        'GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      );
      const before = asked.length;
      while (asked.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
      return client;
    };
    (await ask()).end();
    await once(asked[0]?.resume() as Socket, 'close');
    await ask();
    await proxy.close();
    silent.close();
    proxy = await EgressProxy.open(parent, { allow: ['example.com'] });
  });

  it('opens with the handshake of RFC 6455 in absolute form, and passes frames both ways', async () => {
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    const socket = connect(proxy.egress.port, '127.0.0.1');
    socket.write(
      'GET http://example.com/chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n' +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`,
    );
    let got = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      got += chunk;
    });
    while (!got.includes('\r\n\r\n')) await once(socket, 'data');
    assert.match(got, /^HTTP\/1.1 101 Switching Protocols\r\n/);
    assert.match(got, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    while (!got.endsWith('\x81\x02hi')) await once(socket, 'data');
    socket.destroy();
  });
});
