import { createHash } from 'node:crypto';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const acceptOf = (key: string): string => createHash('sha1').update(`${key}${GUID}`).digest('base64');

/** Opens as RFC 6455 says and gives every small frame back, unmasked. */
export function echo(server: Server): void {
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
