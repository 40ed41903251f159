import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { busyboxLayout } from '../../test/images/busybox.ts';
import { freePort } from '../../test/stack/free-port.ts';
import { TestStack } from '../../test/stack/stack.ts';

/**
 * Memory of odyn in the guest, idle and with many open connections that say nothing: to a plain port, then to one with TLS.
 *
 *   node bench/lifecycle/connections.ts [CONNECTIONS]      default: 1000
 */

const count = Number(process.argv[2] ?? 1000);
const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;
const run = promisify(execFile);
/** Connections that are being made at a time: an emulated guest does a hundred handshakes a second at best. */
const AT_ONCE = 16;

/** The app: two web servers, and a line a second with what the kernel says of odyn, the one process of that name. */
const APP = [
  'busybox httpd -f -p 127.0.0.1:8080 & busybox httpd -f -p 127.0.0.1:8443 &',
  'odyn=$(busybox dirname $(busybox grep -lx MainThread /proc/[0-9]*/comm | busybox head -1))',
  'while sleep 1; do echo memory $(busybox grep -E "^(VmRSS|RssAnon)" $odyn/status); done',
].join('\n');

const MANIFEST = `version: v1
name: connections
target: bench/connections:enclave
sources: { app: oci:image }
defaults: { cpu_count: 2, memory_mb: 2048 }
ingress:
  - listen_port: 8080
  - listen_port: 8443
    max_connections: ${count}
    tls:
      certificates:
        - attested: { names: [bench.example] }
`;

const sockets: Socket[] = [];

/** Opens `count` connections and keeps them. */
async function open(dial: () => Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  let left = count;
  const some = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = dial();
      sockets.push(socket);
      await once(socket, event);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
const stack = await TestStack.start();
try {
  await mkdir(join(work, 'image'));
  await busyboxLayout(join(work, 'image'), ['sh', '-c', APP]);
  const manifest = join(work, 'enclaver.yaml');
  await writeFile(manifest, MANIFEST);
  const eif = join(work, 'connections.eif');
  const env = { ...process.env, ...stack.env };
  await run(command, ['build', '-f', manifest, '--eif-only', eif], { env });
  const [plain, tls] = [await freePort(), await freePort()];
  const publish = ['-p', `127.0.0.1:${plain}:8080`, '-p', `127.0.0.1:${tls}:8443`];
  const enclave = spawn(command, ['run', eif, ...publish], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const ended = once(enclave, 'exit');
  let memory = '';
  createInterface(enclave.stdout).on('line', (line) => {
    if (line.startsWith('memory ')) memory = line;
  });
  await new Promise<void>((resolve, reject) => {
    createInterface(enclave.stderr).on('line', (line) => {
      if (/ ready/.test(line)) resolve();
    });
    void ended.then(() => reject(new Error('the enclave ended before it was ready')));
  });
  const show = async (what: string): Promise<void> => {
    // The line that comes next was written before
    memory = '';
    while (memory === '') await sleep(100);
    const kib = (name: string): number => Number(new RegExp(`${name}:\\s*(\\d+)`).exec(memory)?.[1]);
    const mib = (name: string): string => (kib(name) / 1024).toFixed(1);
    process.stdout.write(`${what}: resident ${mib('VmRSS')} MiB, anonymous ${mib('RssAnon')} MiB\n`);
  };
  await sleep(5_000);
  await show('idle');
  await open(() => connect(plain, '127.0.0.1'), 'connect');
  await show(`${count} connections to the plain port`);
  const options = { host: '127.0.0.1', port: tls, servername: 'bench.example', rejectUnauthorized: false };
  await open(() => connectTls(options), 'secureConnect');
  await show(`${count} more to the port with TLS`);
  enclave.kill('SIGTERM');
  await ended;
} finally {
  for (const socket of sockets) socket.destroy();
  await stack[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
}
