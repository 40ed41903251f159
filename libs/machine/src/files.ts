import { open } from 'node:fs/promises';
import { join } from 'node:path';
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
  await writeSections(eif, of('kernel'), files.kernel);
  await writeSections(eif, of('ramdisk'), files.initrd, PAGE);
}

/**
 * QEMU's microvm with just 2 GiB puts the initrd so that its last bytes may lie on the ACPI tables, which have the last page of
 * memory: the guest then has no devices. One of whole pages ends before that page. The kernel passes over zeros.
 */
const PAGE = 4096;

/** One behind the other, then zeros to a multiple of `unit`. */
async function writeSections(eif: Eif, sections: readonly EifSection[], path: string, unit = 1): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  for (const section of sections) await eif.copy(section, file);
  const length = sections.reduce((sum, { size }) => sum + size, 0);
  await file.writeFile(Buffer.alloc((unit - (length % unit)) % unit));
}
