// Opens and closes one of each; leaves a relay unclosed; nothing may keep the process alive.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Relay, unixTransport } from '../../src/index.ts';

const folder = process.argv[2] as string;
const path = join(folder, 'target');
const server = createServer((socket) => socket.end('bye')).listen(path);
await once(server, 'listening');
const relay = new Relay();
const bounds = { maxConnections: 10, connectTimeoutMs: 1000, idleTimeoutMs: 0 };
const route = await relay.listen({ type: 'unix', path: join(folder, 'in') }, { type: 'unix', path }, bounds);
const client = connect(join(folder, 'in')).resume();
await once(client, 'close');
const listener = await unixTransport({ path }).listen(1, (stream) => stream.resume().end());
const guest = connect(`${path}_1`).resume();
guest.end();
await once(guest, 'close');
await listener.close();
await route.close({ drainMs: 1000 });
server.close();
process.stdout.write('done\n');
