// Run with a low limit of open files: uses them all up, gives them back, and shows that both listeners still work.

import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, unixTransport } from '../../src/index.ts';

const folder = process.argv[2] as string;
const path = join(folder, 'target');
const server = createServer((socket) => socket.end('relay lives')).listen(path);
await once(server, 'listening');
const relay = new Relay();
const bounds = { maxConnections: 10, connectTimeoutMs: 1000, idleTimeoutMs: 0 };
const route = await relay.listen({ type: 'unix', path: join(folder, 'in') }, { type: 'unix', path }, bounds);
const listener = await unixTransport({ path }).listen(1, (stream) => stream.end('stream lives'));
// As TLS ends on: each takes another descriptor for a moment
const sockets = await unixTransport({ path }).listenSockets(2, (socket) => socket.end('socket lives'));
const taken: number[] = [];
for (;;) {
  try {
    taken.push(openSync('/dev/null', 'r'));
  } catch {
    break; // all are in use
  }
}
// One is freed for a client, one for its accept, and none for the moment
for (let each = 0; each < 2; each++) closeSync(taken.pop() as number);
const cut = connect(`${path}_2`);
await once(cut.on('error', () => undefined).resume(), 'close');
for (let each = 0; each < 2; each++) taken.push(openSync('/dev/null', 'r'));
// One descriptor is freed for each client, and none is left for the listener's side of it. The relay's client is the
// last, since the relay's thread would take what is freed after it.
const clients = [`${path}_1`, join(folder, 'in')].map((address) => {
  closeSync(taken.pop() as number);
  return connect(address);
});
for (let i = 0; i < 100 && route.stats().acceptErrors === 0; i++) await sleep(20);
const { acceptErrors } = route.stats();
for (const fd of taken) closeSync(fd);
const [stream, served, socket] = await Promise.all(
  [...clients, connect(`${path}_2`)].map(async (client) => {
    let text = '';
    client.on('data', (data) => {
      text += data.toString();
    });
    await once(client, 'end');
    return text;
  }),
);
await listener.close();
await sockets.close();
await relay.close();
server.close();
process.stdout.write(JSON.stringify({ acceptErrors, served, stream, socket }));
