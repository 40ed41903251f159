// The app of the soak, inside: `node app.ts PORT PROXY_PORT WORLD_PORT`. Gives and takes bytes, fetches some from outside when it is
// asked to (`/connect/…`, `/absolute/…`), and writes a numbered line for each request.
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import type { Socket } from 'node:net';
import { bytesServer, expectBytes, type Part } from './bytes.ts';

const [port, proxyPort, worldPort] = process.argv.slice(2).map(Number);
const world = `host:${worldPort}`;
const proxy = { host: '127.0.0.1', port: proxyPort };
let lines = 0;

function answered(options: RequestOptions, event: 'response' | 'connect'): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(options).once(event, resolve).once('error', reject).end();
  });
}

async function take(answer: IncomingMessage, part: Part): Promise<void> {
  if (answer.statusCode !== 200) throw new Error(`egress was answered with ${answer.statusCode}`);
  await expectBytes(answer, part);
}

const server = bytesServer({
  connect: async (part, _, response) => {
    const head = await answered({ ...proxy, method: 'CONNECT', path: world }, 'connect');
    if (head.statusCode !== 200) throw new Error(`CONNECT was answered with ${head.statusCode}`);
    const tunnel = head.socket as Socket;
    const path = `/${part.offset}/${part.length}`;
    const headers = { host: world, connection: 'close' };
    await take(await answered({ path, headers, createConnection: () => tunnel }, 'response'), part);
    response.end();
  },
  absolute: async (part, _, response) => {
    const path = `http://${world}/${part.offset}/${part.length}`;
    await take(await answered({ ...proxy, path, headers: { host: world }, agent: false }, 'response'), part);
    response.end();
  },
  endKept: async (_, __, response) => {
    response.end();
    response.once('close', () => server.closeIdleConnections());
  },
  lines: async (_, __, response) => void response.end(String(lines)),
});
server.on('request', ({ url = '' }) => {
  if (!/^\/(lines|endKept)\//.test(url)) process.stdout.write(`line ${lines++}\n`);
});
// A client never finds a kept connection closed under its hands
server.keepAliveTimeout = 0;
server.listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
