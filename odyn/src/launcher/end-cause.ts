import { closeSync, constants, openSync, readSync } from 'node:fs';
import { limits } from '../limits.ts';
import type { AppCgroup } from './app-cgroup.ts';

/** Why an app was killed: a signal alone does not tell who sent it. */
export interface EndCause {
  /** Stable: for programs. */
  readonly cause: 'out-of-memory' | 'grace-over';
  /** For people. */
  readonly detail: string;
}

/** A process that the kernel ended for want of memory. */
interface Victim {
  readonly pid: number;
  readonly name: string;
}

/**
 * Whether the kernel ended the app, or a process that the app had started, for want of memory: by the kernel's log, and by the
 * count of the app's cgroup where the log has lost it. The name of a process is the app's own choice.
 */
export function outOfMemory(pid: number, cgroup: AppCgroup | undefined, kmsg = '/dev/kmsg'): EndCause | undefined {
  const victims = readVictims(kmsg);
  const itself = victims.find((victim) => victim.pid === pid);
  if (itself === undefined && (cgroup?.memoryKills() ?? 0) === 0) return undefined;
  const victim = itself ?? victims.at(-1);
  const who = victim === undefined ? 'a process of the app' : `process ${victim.pid} (${victim.name}) of the app`;
  return { cause: 'out-of-memory', detail: `the kernel ended ${who} for want of memory` };
}

/** Facility 0 of a record's priority is the kernel's alone: whoever writes to the log gets another (`Documentation/ABI/testing/dev-kmsg`). */
const KERNEL_RECORD = /^[0-7],\d+,\d+,[^;]*;(.*)$/gm;
/** `mm/oom_kill.c`, for the whole machine and for a cgroup. The name has at most 15 bytes, any but NUL; what does not print is escaped. */
const VICTIM =
  /^(?:Memory cgroup out|Out) of memory(?: \(oom_kill_allocating_task\))?: Killed process (\d+) \((.{0,60})\) total-vm:/;

function readVictims(kmsg: string): Victim[] {
  return [...readLog(kmsg).matchAll(KERNEL_RECORD)].flatMap(([, text = '']) => {
    const [, pid, name] = VICTIM.exec(text) ?? [];
    return pid === undefined || name === undefined ? [] : [{ pid: Number(pid), name }];
  });
}

/** All that the kernel's log still holds: one record for each read, then EAGAIN. */
function readLog(kmsg: string): string {
  const fd = openSync(kmsg, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const record = Buffer.alloc(limits.kernelRecordBytes);
    let text = '';
    while (text.length < limits.kernelLogBytes) {
      const read = readRecord(fd, record);
      if (read === 0) break;
      text += record.toString('latin1', 0, read);
    }
    return text;
  } finally {
    closeSync(fd);
  }
}

function readRecord(fd: number, into: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, into);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return 0;
      // The kernel has written over records meanwhile; the next read goes on behind them
      if (code !== 'EPIPE') throw error;
    }
  }
}
