import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, type Server } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { EgressProxy, portOf } from './egress-proxy.ts';
import { FakeParent, run } from './harness.ts';

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const acceptOf = (key: string): string => createHash('sha1').update(`${key}${GUID}`).digest('base64');

/** Opens as RFC 6455 says and gives every small frame back, unmasked. */
function echo(server: Server): void {
  server.on('upgrade', (incoming, socket: Duplex) => {
    const accept = acceptOf(incoming.headers['sec-websocket-key'] ?? '');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    let bytes = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 6 && bytes.length >= 6 + ((bytes[1] ?? 0) & 127)) {
        const length = (bytes[1] ?? 0) & 127;
        const mask = bytes.subarray(2, 6);
        const payload = bytes.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
        socket.write(Buffer.concat([Buffer.of(bytes[0] ?? 0, length), payload]));
        // After the closing frame the server ends first
        if (bytes[0] === 0x88) socket.end();
        bytes = bytes.subarray(6 + length);
      }
    });
  });
}

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
