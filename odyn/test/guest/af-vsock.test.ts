import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpio, S_IFDIR, S_IFREG } from '@enclaver/eif';
import { build } from 'esbuild';
import { CHECKOUT, findPinned, readPinned } from '../../build/pinned.ts';
import { buildRuntime, defaultsFor } from '../../build/runtime.ts';
import { Machine } from './machine.ts';

/** A boot, and checks that move tens of megabytes through an emulated processor. */
const PATIENCE_MS = 180_000;

/** The module that makes AF_VSOCK work within one machine, behind those it builds on. */
const ORDER = [
  'virtio_mmio.ko',
  'vsock.ko',
  'vmw_vsock_virtio_transport_common.ko',
  'vmw_vsock_virtio_transport.ko',
  'vsock_loopback.ko',
];

describe('libs/vsock on AF_VSOCK, in a guest', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;
  let machine: Machine | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'af-vsock-test-'));
  });

  after(async () => {
    await machine?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('passes every check of its own', async () => {
    const runtime = join(folder, 'runtime');
    await buildRuntime({ ...defaultsFor('x86_64'), output: runtime, entry: join(import.meta.dirname, 'stand-in.ts') });
    const bundled = await build({
      entryPoints: [join(CHECKOUT, 'libs/vsock/test/guest/af-vsock-check.ts')],
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      write: false,
      logLevel: 'silent',
    });
    const loopback = (await findPinned('x86_64')).modules.get('vsock_loopback.ko');
    const program = bundled.outputFiles[0];
    assert.ok(loopback && program);
    const file = (path: string, data: Uint8Array) => ({ path, mode: S_IFREG | 0o644, data });
    const pieces: Buffer[] = [await readFile(join(runtime, 'ramdisk0.cpio'))];
    for await (const piece of cpio([
      file('af-vsock-check.mjs', program.contents),
      file('ending', Buffer.from('vsock')),
      file('modules/order', Buffer.from(ORDER.map((name) => `${name}\n`).join(''))),
      file('modules/vsock_loopback.ko', await readPinned(loopback)),
      { path: 'rootfs', mode: S_IFDIR | 0o755 },
    ])) {
      pieces.push(piece);
    }
    await writeFile(join(folder, 'ramdisk'), Buffer.concat(pieces));
    machine = await Machine.start({
      kernel: join(runtime, 'kernel'),
      cmdline: await readFile(join(runtime, 'cmdline'), 'utf8'),
      ramdisk: join(folder, 'ramdisk'),
    });
    const [, code, result = ''] = await machine.sees(/VSOCK (\S+) (\{.*\})\r?\n/, PATIENCE_MS);
    const { checks } = JSON.parse(result) as { checks: Record<string, string> };
    assert.deepEqual(new Set(Object.values(checks)), new Set(['ok']), JSON.stringify(checks, undefined, 2));
    assert.equal(code, '0');
  });
});
