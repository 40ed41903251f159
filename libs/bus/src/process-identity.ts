import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import * as z from 'zod';

/** A process, told apart from every other: of this boot of this machine, in this PID namespace, with this start (proc(5)). */
export const processIdentitySchema = z.object({
  host: z.string(),
  pid: z.number().int(),
  boot: z.string(),
  namespace: z.string(),
  start: z.string(),
});

export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

export function ownIdentity(): ProcessIdentity {
  const { pid } = process;
  return { host: hostname(), pid, ...surroundings(), start: startOf(pid) ?? '' };
}

/** Whether that process has certainly ended: of another machine or container nothing is known. */
export function hasEndedHere({ pid, boot, namespace, start }: ProcessIdentity): boolean {
  const here = surroundings();
  return boot === here.boot && namespace === here.namespace && startOf(pid) !== start;
}

function surroundings(): Pick<ProcessIdentity, 'boot' | 'namespace'> {
  return {
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    namespace: readlinkSync('/proc/self/ns/pid'),
  };
}

/** Field 22 of /proc/<pid>/stat, counted behind the name, which may hold anything; undefined for no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    // Such as no descriptor left: that says nothing about the process
    throw error;
  }
}
