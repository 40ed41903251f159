import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Eif, EifSection } from '@enclaver/eif';
import { limits } from './limits.ts';
import { MachineError } from './machine-error.ts';

/** Names in an enclave's folder. */
export function enclaveFiles(folder: string) {
  return {
    kernel: join(folder, 'kernel'),
    initrd: join(folder, 'initrd'),
    /** Between QEMU and vhost-device-vsock. */
    vhost: join(folder, 'vhost.sock'),
    /** Base of the Unix sockets that stand for the guest's vsock. */
    vsock: join(folder, 'vsock'),
    qmp: join(folder, 'qmp.sock'),
    console: join(folder, 'console.sock'),
    /** What QEMU and vhost-device-vsock write on their own behalf. */
    log: join(folder, 'machine.log'),
    /** Registers of the simulated NSM, for the supervisor that takes over. */
    nsm: join(folder, 'nsm.json'),
    /** Process ids, for the supervisor that takes over. */
    machine: join(folder, 'machine.json'),
  };
}

export type EnclaveFiles = ReturnType<typeof enclaveFiles>;

/** Throws `RUN_DIR_TOO_LONG` when a socket's path would not fit into a socket address. */
export function checkSocketPaths(folder: string): void {
  const { console, qmp, vhost, vsock } = enclaveFiles(folder);
  // The longest name that is made from the vsock path has a port of five digits
  for (const path of [console, qmp, vhost, `${vsock}_65535`]) {
    const bytes = Buffer.byteLength(path);
    if (bytes <= limits.socketPathBytes) continue;
    throw new MachineError(
      'RUN_DIR_TOO_LONG',
      `the socket path ${path} has ${bytes} bytes, at most ${limits.socketPathBytes} are allowed`,
      { remedy: 'set ENCLAVER_RUN_DIR to a shorter path, such as /run/enclaver' },
    );
  }
}

/** Writes kernel and ramdisks where QEMU reads them, in bounded memory. */
export async function writeBootFiles(eif: Eif, files: EnclaveFiles): Promise<void> {
  const of = (type: EifSection['type']) => eif.sections.filter((section) => section.type === type);
  await pipeline(sectionBytes(eif, of('kernel')), createWriteStream(files.kernel, { mode: 0o600 }));
  await pipeline(paddedToPage(sectionBytes(eif, of('ramdisk'))), createWriteStream(files.initrd, { mode: 0o600 }));
}

const PAGE = 4096;

/**
 * QEMU's microvm with just 2 GiB puts the initrd so that its last bytes may lie on the ACPI tables, which have the last page of
 * memory: the guest then has no devices. One of whole pages ends before that page. The kernel passes over zeros.
 */
async function* paddedToPage(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const piece of bytes) {
    length += piece.length;
    yield piece;
  }
  yield Buffer.alloc((PAGE - (length % PAGE)) % PAGE);
}

async function* sectionBytes(eif: Eif, sections: readonly EifSection[]): AsyncGenerator<Buffer> {
  for (const section of sections) yield* eif.data(section);
}
