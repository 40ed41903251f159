/**
 * In the place of odyn in the guest tests: looks at what init has prepared, tells it in one console line
 * `REPORT {…}`, and then ends in the way that the file `/ending` of the test's ramdisk names.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, Socket } from 'node:net';
import { availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** An app started by launch, its output on the pipes that init made for it. */
function startApp(words: readonly string[]): { child: ChildProcess; stdout: Promise<string>; stderr: Promise<string> } {
  const readers = ['/run/app.stdout', '/run/app.stderr'].map((path) => {
    // The reader first and without waiting: a pipe opens for writing only when somebody reads
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { reader, writer: openSync(path, constants.O_WRONLY) };
  });
  const [out, err] = readers;
  if (out === undefined || err === undefined) {
    throw new Error('unreachable');
  }
  const ids = ['--root', '/rootfs', '--uid', '1234', '--gid', '2345', '--groups', '7,9', '--workdir', '/data/here'];
  const child = spawn('/odyn/launch', [...ids, '--', ...words], {
    stdio: ['ignore', out.writer, err.writer, 'pipe'],
    env: { PATH: '/bin', GREETING: 'hello' },
    detached: true,
  });
  closeSync(out.writer);
  closeSync(err.writer);
  const streamed = (fd: number) => text(new Socket({ fd, readable: true, writable: false }));
  return { child, stdout: streamed(out.reader), stderr: streamed(err.reader) };
}

async function outputOf(words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { child, stdout, stderr } = startApp(words);
  const [[code], out, err] = await Promise.all([once(child, 'exit'), stdout, stderr]);
  return { code, stdout: out, stderr: err };
}

async function orphanIsBuried(): Promise<boolean> {
  const { stdout } = await outputOf(['probe', 'orphan']);
  const path = `/proc/${stdout.trim()}`;
  for (let i = 0; i < 100 && existsSync(path); i++) {
    await sleep(50);
  }
  return /^\/proc\/[0-9]+$/.test(path) && !existsSync(path);
}

async function loopbackCarries(): Promise<boolean> {
  const server = createServer((socket) => socket.end('through lo')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') {
    return false;
  }
  const client = new Socket().connect(address.port, '127.0.0.1');
  const received = await text(client);
  server.close();
  return received === 'through lo';
}

async function termIsForwarded(): Promise<boolean> {
  const received = once(process, 'SIGTERM');
  process.kill(1, 'SIGTERM');
  return (await Promise.race([received.then(() => true), sleep(5000).then(() => false)])) === true;
}

function look(path: string): { mode: number; uid: number; gid: number; names: string[] } {
  const { mode, uid, gid } = statSync(path);
  return { mode: mode & 0o7777, uid, gid, names: readdirSync(path).sort() };
}

/** `[folder, type]` of each mount. */
function mounts(): string[][] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(1, 3));
}

async function report(): Promise<Record<string, unknown>> {
  const state = await outputOf(['probe', 'one', 'two']);
  return {
    environment: { ...process.env },
    hostname: hostname(),
    processors: availableParallelism(),
    devices: readdirSync('/sys/bus/platform/devices').filter((name) => name.startsWith('virtio-mmio.')),
    loopback: (networkInterfaces().lo ?? []).map(({ address }) => address),
    loopbackCarries: await loopbackCarries(),
    modules: readFileSync('/proc/modules', 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    mounts: mounts(),
    rootShare: (statfsSync('/').blocks * statfsSync('/').bsize) / totalmem(),
    run: look('/rootfs/run'),
    tmp: look('/rootfs/tmp'),
    oomScore: readFileSync('/proc/self/oom_score_adj', 'utf8').trim(),
    userNamespaces: readFileSync('/proc/sys/user/max_user_namespaces', 'utf8').trim(),
    limits: /^Max open files +(\d+) +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.slice(1, 3),
    launched: { ...state, stdout: JSON.parse(state.stdout) as unknown },
    byName: await outputOf(['probe', 'by-name']),
    orphanIsBuried: await orphanIsBuried(),
    termIsForwarded: await termIsForwarded(),
  };
}

const endings: Record<string, () => Promise<void>> = {
  report: async () => console.log(`REPORT ${JSON.stringify(await report())}`),
  'exit-3': async () => process.exit(3),
  abort: async () => {
    startApp(['probe', 'wait']);
    // As root in the app can, with the smallest priority that it has
    writeFileSync('/dev/kmsg', `<0>Out of memory: Killed process ${process.pid} (node`);
    process.kill(process.pid, 'SIGABRT');
  },
  panic: async () => writeFileSync('/proc/sysrq-trigger', 'c'),
  vsock: async () => {
    const env = { ENCLAVER_VSOCK_ADDON: '/odyn/vsock.node' };
    const check = spawn('/odyn/node', ['/af-vsock-check.mjs'], { stdio: ['ignore', 'pipe', 'inherit'], env });
    const [[code], result] = await Promise.all([once(check, 'exit'), text(check.stdout)]);
    console.log(`VSOCK ${code} ${result.trim()}`);
  },
};

const ending = readFileSync('/ending', 'utf8');
console.log(`stand-in: ${ending}`);
endings[ending]?.().catch((error: unknown) => {
  console.log('stand-in failed', error);
  process.exitCode = 9;
});
