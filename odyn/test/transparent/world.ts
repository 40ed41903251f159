/**
 * Runs in a network namespace of its own, as an enclave has the machine to itself: transparent egress, and an app that
 * knows no proxy. Tells in one line of JSON what each attempt of the app gave.
 */
import { createSocket } from 'node:dgram';
import { lookup, resolve4, resolve6, resolveMx, reverse } from 'node:dns/promises';
import { createServer as createHttp } from 'node:http';
import { connect, createServer as createTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { countUnroutable } from '../../src/egress/unroutable.ts';
import { EgressProxy, portOf } from '../egress-proxy.ts';
import { FakeParent, run } from '../harness.ts';

const parent = await FakeParent.make();
await parent.listen();
const web = createHttp((request, response) => response.end(`you asked ${request.headers.host}${request.url}`));
const to = await portOf(web);
const echo = createTcp((socket) => socket.pipe(socket));
const echoPort = await portOf(echo);
parent.answer = ({ host, port }) => {
  if (host === 'inside.com') return { reply: { Ok: { address: '169.254.169.254' } } };
  if (host === 'down.com') return { reply: { Err: { os_code: 111, message: 'Connection refused' } } };
  return { reply: { Ok: { address: host.includes('com') ? '192.0.2.99' : host } }, to: port === 7 ? echoPort : to };
};
const proxy = await EgressProxy.open(parent, {
  allow: ['**.com', 'allowed.com', 'secure.org:443', '192.0.2.0/24', '2001:db8::/32'],
  deny: ['evil.com'],
  transparent: true,
});

/** What the attempt gave, or the code of its error. */
async function attempt(what: () => Promise<unknown>): Promise<unknown> {
  try {
    return await what();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function get(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, family: 0 });
  socket.setTimeout(5_000, () => socket.destroy(new Error('time-out')));
  socket.write('GET / HTTP/1.0\r\nHost: x\r\n\r\n');
  return (await text(socket)).split('\r\n\r\n')[1] ?? '';
}

async function echoed(bytes: number): Promise<number> {
  const socket = connect(7, '192.0.2.1');
  let count = 0;
  socket.write(Buffer.alloc(bytes, 'x'));
  for await (const chunk of socket) {
    count += (chunk as Buffer).length;
    if (count === bytes) break;
  }
  return count;
}

async function sendUdp(address: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) =>
      socket.send('x', port, address, (error) => (error ? reject(error) : resolve())),
    );
    return 'sent';
  } finally {
    socket.close();
  }
}

const ownServer = createTcp((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nmy own'));
const ownPort = await portOf(ownServer);
const [standIn = ''] = await resolve4('allowed.com');

const results = {
  curl: await attempt(async () => (await run('curl', ['-sS', '--max-time', '5', 'http://allowed.com/a?b'])).stdout),
  address: await attempt(() => get('192.0.2.1', 8080)),
  address6: await attempt(() => get('2001:db8::1', 80)),
  bulk: await attempt(() => echoed(5_000_000)),
  own: await attempt(() => get('127.0.0.1', ownPort)),
  standIn,
  again: await attempt(() => resolve4('ALLOWED.com.')),
  lookup: await attempt(() => lookup('allowed.com', { all: true })),
  localhost: await attempt(() => resolve4('localhost')),
  aaaa: await attempt(() => resolve6('allowed.com')),
  mx: await attempt(() => resolveMx('allowed.com')),
  ptr: await attempt(() => reverse(standIn)),
  ptrOther: await attempt(() => reverse('192.0.2.1')),
  refusedAddress: await attempt(() => get('1.2.3.4', 80)),
  refusedAddress6: await attempt(() => get('2001:db9::1', 80)),
  metadata: await attempt(() => get('169.254.169.254', 80)),
  refusedName: await attempt(() => lookup('evil.com')),
  unknownName: await attempt(() => lookup('other.net')),
  refusedPort: await attempt(() => get('secure.org', 80)),
  ledAstray: await attempt(() => get('inside.com', 80)),
  down: await attempt(() => get('down.com', 80)),
  unknownStandIn: await attempt(() => get('198.18.77.77', 80)),
  udp: await attempt(() => sendUdp('1.2.3.4', 443)),
  udpToName: await attempt(() => sendUdp(standIn, 443)),
  unroutable: countUnroutable(),
  requests: parent.requests,
  counts: proxy.egress.counts(),
  log: proxy.log().split('\n'),
};
web.close();
echo.close();
ownServer.close();
await proxy.close();
await parent.close();
console.log(JSON.stringify(results));
process.exit(0);
