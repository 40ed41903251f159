/**
 * Clients that stall: `node stalled-process.ts HOST PORT COUNT KINDS` opens so many connections and says so. In turn one sends nothing, one its
 * request a byte a second, and, with 3 kinds, one reads its answer a byte a second.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

const [host = '', port = '', count = '', kinds = ''] = process.argv.slice(2);
const REQUEST = 'GET /blob HTTP/1.0\r\n\r\n';

const sockets = Array.from({ length: Number(count) }, () =>
  connect({ host, port: Number(port) }).on('error', () => undefined),
);
await Promise.all(sockets.map((socket) => once(socket, 'connect')));
for (const [index, socket] of sockets.entries()) {
  let sent = 0;
  if (index % Number(kinds) === 1) setInterval(() => socket.write(REQUEST[sent++] ?? ' '), 1_000);
  if (index % Number(kinds) !== 2) continue;
  socket.write(REQUEST);
  socket.pause();
  setInterval(() => socket.read(1), 1_000);
}
process.stdout.write('open\n');
