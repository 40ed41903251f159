import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Machine } from '../../odyn/test/guest/machine.ts';
import { linesOf, readLog } from '../../odyn/test/harness.ts';

/** The ramdisks as they are loaded, their files, and Node: the backend's rule gives 415 MiB for this runtime. */
const MEMORY_MB = 768;

/** Reading an image takes a second. */
const READ_MS = 30_000;

/** What the machine is told of the parent instance, which it measures as real hardware does. */
export interface Parent {
  roleArn?: string;
  instanceId?: string;
}

/** QEMU with the machine `nitro-enclave`, which set-up finds or makes. */
const QEMU = (() => {
  const paths = spawnSync(join(import.meta.dirname, '../../scripts/paths'), { encoding: 'utf8' }).stdout;
  const program = /^ENCLAVER_QEMU_NITRO=(.*)$/m.exec(paths)?.[1];
  if (program === undefined) throw new Error('scripts/paths names no ENCLAVER_QEMU_NITRO: run scripts/setup');
  return program;
})();

/** Boots an image as it is, and gives what its app wrote to stdout until its end. */
export async function runOnNitroMachine(eif: string, parent: Parent = {}): Promise<string[]> {
  const machine = await Machine.boot({
    program: QEMU,
    memoryMb: MEMORY_MB,
    // These words reach the kernel and no measurement; no half-close goes through vhost-device-vsock
    arguments: (words) => ['-M', board(parent), '-kernel', eif, '-append', `${words} enclaver.vsock=hybrid`],
  });
  try {
    return linesOf(await readLog({ dial: (port) => machine.connect(port) }), 'stdout');
  } finally {
    await machine.stop();
  }
}

/** Gives the machine an image that it cannot take, and returns what it says of it. */
export function refusalByNitroMachine(eif: string): string {
  // The image is read before anybody asks what the vsock leads to
  const rest = ['-chardev', 'null,id=c', '-nodefaults', '-display', 'none', '-S'];
  return spawnSync(QEMU, ['-M', board({}), '-kernel', eif, ...rest], { encoding: 'utf8', timeout: READ_MS }).stderr;
}

/** ACPI tells the guest of its devices: the pinned kernel takes none from its command line. */
function board({ roleArn, instanceId }: Parent): string {
  const role = roleArn === undefined ? '' : `,parent-role=${roleArn}`;
  const id = instanceId === undefined ? '' : `,parent-id=${instanceId}`;
  return `nitro-enclave,vsock=c,acpi=on,id=enclaver-test${role}${id}`;
}
