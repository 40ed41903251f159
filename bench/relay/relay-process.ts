// One relay of our own or of plain Node: `node relay-process.ts native|screened|decided|pipe TCP_PORT UNIX_PATH|TARGET_PORT`.
// Says "ready".
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { cidrContains, parseCidr } from '@enclaver/manifest';
import { type Endpoint, Relay, type Verdict } from '@enclaver/vsock';
import { decodeProxyHeader, PROXY_HEADER_MAX } from '@enclaver/wire';

const [kind, portText, path] = process.argv.slice(2) as [string, string, string];
const port = Number(portText);
const target: Endpoint = /^\d+$/.test(path)
  ? { type: 'tcp', host: '127.0.0.1', port: Number(path) }
  : { type: 'unix', path };
const [ALLOW, DENY] = [parseCidr('127.0.0.0/8'), parseCidr('10.0.0.0/8')];

/** What odyn does on a port with `clients`: reads the PROXY header, deny before allow. */
function decide(first: Buffer): Verdict {
  const read = decodeProxyHeader(first);
  if (read === undefined) return 'more';
  if (read.header.command === 'local') return 'refuse';
  const client = { family: read.header.family, bytes: read.header.source.address };
  return !cidrContains(DENY, client) && cidrContains(ALLOW, client) ? { pass: read.length } : 'refuse';
}

if (kind === 'native' || kind === 'screened') {
  const bounds = { maxConnections: 20_000, connectTimeoutMs: 5000, idleTimeoutMs: 0 };
  const screen = { maxBytes: PROXY_HEADER_MAX, timeoutMs: 5000, decide };
  await new Relay().listen(
    { type: 'tcp', host: '127.0.0.1', port },
    target,
    kind === 'native' ? bounds : { ...bounds, screen },
  );
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
