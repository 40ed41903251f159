import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cpio, S_IFDIR, S_IFREG } from '@enclaver/eif';
import { MACHINE_ARCH } from '../../odyn/build/arch.ts';
import { CHECKOUT } from '../../odyn/build/pinned.ts';
import { Machine } from '../../odyn/test/guest/machine.ts';
import { findBusybox } from '../../test/images/busybox.ts';

/** ms from the start of the machine to the first word of init, and what of that is on the kernel's own clock. */
export interface BareBoot {
  wallMs: number;
  kernelMs: number;
}

const RUNTIME = join(CHECKOUT, 'dist/runtime', MACHINE_ARCH);
/** As enclaves have it by default. */
const MEMORY_MB = 4096;
const INIT = '#!/bin/busybox sh\nbusybox mount -t proc proc /proc\nread up _ < /proc/uptime\necho "up $up"\n';

/** The enclave's kernel with its command line, and a ramdisk of busybox alone: what a boot costs at least. */
export async function bootBusybox(work: string): Promise<BareBoot> {
  const ramdisk = join(work, 'busybox.cpio');
  const entries = [
    ...['bin', 'proc'].map((path) => ({ path, mode: S_IFDIR | 0o755 })),
    { path: 'bin/busybox', mode: S_IFREG | 0o755, data: await readFile(await findBusybox()) },
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from(`${INIT}exec busybox sleep 1000\n`) },
  ].sort((one, other) => Buffer.compare(Buffer.from(one.path), Buffer.from(other.path)));
  await pipeline(cpio(entries), createWriteStream(ramdisk));
  const cmdline = await readFile(join(RUNTIME, 'cmdline'), 'utf8');
  const begun = performance.now();
  await using machine = await Machine.start({ kernel: join(RUNTIME, 'kernel'), cmdline, ramdisk, memoryMb: MEMORY_MB });
  const [, up] = await machine.sees(/^up ([\d.]+)/m);
  return { wallMs: performance.now() - begun, kernelMs: Number(up) * 1000 };
}
