import { readBounded } from '../bootstrap/read-bounded.ts';
import { limits } from '../limits.ts';

/** Memory of this process in bytes: all that is resident, and of that what is no file's. */
export function ownMemory(): { residentBytes: number; anonymousBytes: number } {
  const status = readBounded('/proc/self/status', limits.procFileBytes).toString('latin1');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon') };
}

/** Memory of the whole machine in bytes: all that the kernel has, and what programs could still get. */
export function machineMemory(): { totalBytes: number; availableBytes: number } {
  const meminfo = readBounded('/proc/meminfo', limits.procFileBytes).toString('latin1');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1]) * 1024;
  return { totalBytes: bytes('MemTotal'), availableBytes: bytes('MemAvailable') };
}
