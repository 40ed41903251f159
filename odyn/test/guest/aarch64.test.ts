import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { cpio, S_IFDIR, S_IFREG } from '@enclaver/eif';
import {
  type EnclaveStatus,
  encodeLogHello,
  LAUNCH_PATH,
  LOG_PORT,
  LogDecoder,
  type LogRecord,
  MANIFEST_PATH,
  ROOTFS_PATH,
  STATUS_PORT,
  StatusDecoder,
} from '@enclaver/wire';
import { compileC } from '../../build/compile-c.ts';
import { buildRuntime, defaultsFor } from '../../build/runtime.ts';
import { Machine } from './machine.ts';

/** A build and a boot: 16 s under emulation on a busy machine of two cores, 10 s of them from power-on to ready. */
const PATIENCE_MS = 240_000;
const MEMORY_MB = 768;
const APP_PORT = 8080;

const MANIFEST = `version: v1
name: test
target: test:latest
sources: { app: app:latest }
ingress:
  - listen_port: ${APP_PORT}
`;
const LAUNCH = { version: 1, argv: ['/say-machine'], env: [], user: '', workdir: '/', stopSignal: 'SIGTERM' };

describe('the aarch64 runtime, in a guest', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let machine: Machine | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aarch64-test-'));
  });

  after(async () => {
    await machine?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function ramdisks(runtime: string): Promise<string> {
    const app = join(folder, 'say-machine');
    await compileC(import.meta.dirname, ['say-machine.c'], app, 'aarch64');
    const directory = (path: string) => ({ path, mode: S_IFDIR | 0o755 });
    const file = (path: string, mode: number, data: Buffer) => ({ path, mode: S_IFREG | mode, data });
    const pieces: Buffer[] = [await readFile(join(runtime, 'ramdisk0.cpio'))];
    for await (const piece of cpio([
      ...['', '/dev', '/etc', '/etc/enclaver', '/proc', '/run', '/sys', '/tmp'].map((path) =>
        directory(`${ROOTFS_PATH}${path}`),
      ),
      file(`${ROOTFS_PATH}/${MANIFEST_PATH}`, 0o644, Buffer.from(MANIFEST)),
      file(`${ROOTFS_PATH}/say-machine`, 0o755, await readFile(app)),
      file(LAUNCH_PATH, 0o644, Buffer.from(JSON.stringify(LAUNCH))),
    ])) {
      pieces.push(piece);
    }
    const path = join(folder, 'ramdisk');
    await writeFile(path, Buffer.concat(pieces));
    return path;
  }

  async function boot(): Promise<Machine> {
    const options = { ...defaultsFor('aarch64'), output: join(folder, 'runtime') };
    await buildRuntime(options);
    const cmdline = await readFile(join(options.output, 'cmdline'), 'utf8');
    const ramdisk = await ramdisks(options.output);
    return Machine.boot({
      program: 'qemu-system-aarch64',
      // The real algorithm of pointer authentication makes an emulated kernel several times slower
      cpu: 'max,pauth-impdef=on',
      memoryMb: MEMORY_MB,
      arguments: (words) => [
        ...['-M', 'virt,memory-backend=mem0', '-global', 'virtio-mmio.force-legacy=false'],
        ...['-object', `memory-backend-memfd,id=mem0,size=${MEMORY_MB}M,share=on`],
        ...['-kernel', join(options.output, 'kernel'), '-initrd', ramdisk],
        // This machine's serial port is not the one that Nitro's has
        ...['-append', `${cmdline} console=ttyAMA0 enclaver.vsock=hybrid ${words}`],
        ...['-device', 'vhost-user-vsock-device,chardev=c'],
      ],
    });
  }

  it('boots to ready, runs an app with log and ingress, and ends with it', async () => {
    machine = await boot();
    const states: EnclaveStatus[] = [];
    const decoder = new StatusDecoder();
    const ready = Promise.withResolvers<void>();
    const ended = finished(await machine.connect(STATUS_PORT), (chunk) => {
      states.push(...decoder.push(chunk));
      if (states.some((state) => state.status === 'running' && state.phase === 'ready')) ready.resolve();
    });
    const records: LogRecord[] = [];
    const logDecoder = new LogDecoder();
    const log = await machine.connect(LOG_PORT);
    const logged = finished(log, (chunk) => records.push(...logDecoder.push(chunk)));
    log.write(encodeLogHello(0n));
    await Promise.race([ready.promise, ended]);
    assert.equal(await text(await machine.connect(APP_PORT)), 'aarch64\n');
    await Promise.all([ended, logged]);
    // No ACPI here, as on Nitro: init resets
    assert.equal(await machine.ended(), 'guest-reset');
    assert.deepEqual(machine.heartbeats, [0xb7]);
    const phases = states.map((state) => (state.status === 'running' ? state.phase : state));
    assert.deepEqual(phases.slice(-2), ['ready', { status: 'exited', code: 7 }]);
    const lines = records.filter(({ stream }) => stream === 'stdout').map(({ payload }) => payload.toString());
    assert.deepEqual(lines, ['an app on aarch64']);
    assert.equal(records.at(-1)?.stream, 'end');
  });
});

function finished(socket: Socket, read: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('data', read).on('end', resolve).on('error', reject);
  });
}
