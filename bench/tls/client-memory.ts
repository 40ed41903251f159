// Memory of odyn for each client of a port with TLS, by what the client does: `node bench/tls/client-memory.ts [clients]`. Clients come by
// a Unix socket in the place of the vsock, and each state has an odyn of its own. Prints a table in Markdown to stdout.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { NODE, Pinned, ready } from '../harness/pinned.ts';
import { residentBytes } from '../harness/process-cost.ts';

const clients = Number(process.argv[2] ?? 600);
const MIB = 1 << 20;
/** All that can move has moved within that. */
const SETTLE_MS = 3_000;

interface State {
  readonly name: string;
  readonly app: (socket: Socket) => void;
  readonly client: (socket: TLSSocket) => Promise<unknown> | unknown;
}

/** Sends for as long as somebody takes it. */
function flood(stream: Duplex): void {
  const bytes = Buffer.alloc(64 * 1024);
  const more = (): void => {
    while (stream.write(bytes));
  };
  stream.on('drain', more);
  more();
}

const states: readonly State[] = [
  { name: 'has said nothing', app: (socket) => socket.resume(), client: (socket) => socket.resume() },
  { name: 'rests after a MiB each way', app: (socket) => socket.pipe(socket), client: exchange },
  { name: 'takes nothing of what the app sends', app: flood, client: (socket) => socket.pause() },
  { name: 'sends what the app does not take', app: (socket) => socket.pause(), client: flood },
  {
    name: 'does both',
    app: (socket) => flood(socket.pause()),
    client: (socket) => flood(socket.pause()),
  },
];

async function exchange(socket: TLSSocket): Promise<void> {
  let missing = MIB;
  socket.write(Buffer.alloc(MIB));
  for (;;) {
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    missing -= bytes.length;
    if (missing <= 0) return;
  }
}

/** Bytes of one client. */
async function measure({ app, client }: State): Promise<number> {
  using processes = new Pinned();
  const open: Duplex[] = [];
  const server = createServer((socket) => {
    open.push(socket.on('error', () => socket.destroy()));
    app(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const odyn = await ready(
    processes.start([...NODE, join(import.meta.dirname, 'odyn-port.ts'), String(port), join(folder, 'vsock'), folder], {
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    }),
  );
  const pid = odyn.pid as number;
  const before = residentBytes(pid);
  for (let count = 0; count < clients; count++) {
    const socket = connectTls({ socket: connect(`${join(folder, 'vsock')}_${port}`), rejectUnauthorized: false });
    open.push(socket.on('error', () => socket.destroy()));
    await once(socket, 'secureConnect');
    await client(socket);
  }
  await sleep(SETTLE_MS);
  const bytes = (residentBytes(pid) - before) / clients;
  for (const stream of open) stream.destroy();
  server.close();
  await processes.end(odyn);
  return bytes;
}

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
try {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', 'cert.pem', '-days', '2', '-subj', '/CN=bench'], {
    cwd: folder,
    stdio: 'ignore',
  });
  process.stdout.write(`| a client that | KiB, of ${clients} |\n| --- | --- |\n`);
  for (const state of states)
    process.stdout.write(`| ${state.name} | ${Math.round((await measure(state)) / 1024)} |\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
