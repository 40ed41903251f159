import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Machine } from '../../odyn/test/guest/machine.ts';
import { linesOf, readLog } from '../../odyn/test/harness.ts';

/** The ramdisks as they are loaded, their files, and Node: the backend's rule gives 415 MiB for this runtime. */
const MEMORY_MB = 768;

/** What the machine is told of the parent instance, which it measures as real hardware does. */
export interface Parent {
  roleArn?: string;
  instanceId?: string;
}

/**
 * Boots an image as it is, and gives what its app wrote to stdout until its end. Throws what the machine says of an image
 * that it does not take.
 */
export async function runOnNitroMachine(eif: string, parent: Parent = {}): Promise<string[]> {
  await using machine = await bootOnNitroMachine(eif, parent);
  return linesOf(await readLog({ dial: (port) => machine.connect(port) }), 'stdout');
}

export async function bootOnNitroMachine(eif: string, parent: Parent = {}): Promise<Machine> {
  return Machine.boot({
    program: qemu(),
    memoryMb: MEMORY_MB,
    // These words reach the kernel and no measurement; no half-close goes through vhost-device-vsock
    arguments: (words) => ['-M', boardFor(parent), '-kernel', eif, '-append', `${words} enclaver.vsock=hybrid`],
  });
}

/** Without ACPI, as real hardware: the machine itself names vsock and NSM on the kernel's command line. */
function boardFor({ roleArn, instanceId }: Parent): string {
  const role = roleArn === undefined ? '' : `,parent-role=${roleArn}`;
  const id = instanceId === undefined ? '' : `,parent-id=${instanceId}`;
  return `nitro-enclave,vsock=c,acpi=off,id=enclaver-test${role}${id}`;
}

/** QEMU with the machine, which set-up finds or makes. */
function qemu(): string {
  const paths = spawnSync(join(import.meta.dirname, '../../scripts/paths'), { encoding: 'utf8' }).stdout;
  const program = /^ENCLAVER_QEMU_NITRO=(.*)$/m.exec(paths)?.[1];
  if (program === undefined || !existsSync(program)) throw new Error('no QEMU with nitro-enclave: run scripts/setup');
  return program;
}
