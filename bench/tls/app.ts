// The app behind odyn's port: `node app.ts PORT BYTES`. Answers GET /small with a few bytes and GET /big with BYTES. Says "ready".
import { once } from 'node:events';
import { createServer } from 'node:net';

const [port, bytes] = process.argv.slice(2).map(Number) as [number, number];
const head = 'HTTP/1.0 200 OK\r\n\r\n';
const big = Buffer.alloc(bytes);
const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (request) => {
    socket.write(head);
    socket.end(request.includes('GET /big') ? big : 'small\n');
  });
}).listen({ port, host: '127.0.0.1', backlog: 4096 });
await once(server, 'listening');
process.stdout.write('ready\n');
