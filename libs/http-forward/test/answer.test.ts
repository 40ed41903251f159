import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { answerOf, requestOver } from '../src/index.ts';

describe('the answer to a forwarded request', () => {
  it('is a fault where Node gives neither an answer nor an error: to a CONNECT that nobody tunnels', async () => {
    const server = createServer((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno')),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const stream = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const request = requestOver(
      stream,
      { method: 'connect', path: '/x', headers: ['Host', 'a'], framing: [] },
      [],
      1024,
    );
    request.end();
    await assert.rejects(answerOf(request), { code: 'HTTP_FAULT', status: 502 });
    server.close();
  });
});
