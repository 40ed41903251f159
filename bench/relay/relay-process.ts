// One relay of our own or of plain Node: `node relay-process.ts native|decided|pipe TCP_PORT UNIX_PATH|TARGET_PORT`. Says "ready".
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type Endpoint, Relay } from '@enclaver/vsock';

const [kind, portText, path] = process.argv.slice(2) as [string, string, string];
const port = Number(portText);
const target: Endpoint = /^\d+$/.test(path)
  ? { type: 'tcp', host: '127.0.0.1', port: Number(path) }
  : { type: 'unix', path };

if (kind === 'native') {
  const bounds = { maxConnections: 20_000, connectTimeoutMs: 5000, idleTimeoutMs: 0 };
  await new Relay().listen({ type: 'tcp', host: '127.0.0.1', port }, target, bounds);
} else {
  const relay = kind === 'decided' ? new Relay() : undefined;
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: relay !== undefined }, (socket) => {
    if (relay) {
      relay.join({ stream: socket }, { connect: target, timeoutMs: 5000 }).catch(() => socket.destroy());
      return;
    }
    const far = connect({ ...('path' in target ? { path } : { port: target.port }), allowHalfOpen: true });
    for (const one of [socket, far]) one.on('error', () => [socket, far].map((each) => each.destroy()));
    socket.pipe(far).pipe(socket);
  });
  server.listen({ port, host: '127.0.0.1', backlog: 4096 });
  await once(server, 'listening');
}
process.stdout.write('ready\n');
