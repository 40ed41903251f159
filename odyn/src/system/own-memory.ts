import { readBounded } from '../bootstrap/read-bounded.ts';
import { limits } from '../limits.ts';

/** Memory of this process in bytes: all that is resident, and of that what is no file's. */
export function ownMemory(): { residentBytes: number; anonymousBytes: number } {
  const status = readBounded('/proc/self/status', limits.procFileBytes).toString('latin1');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon') };
}
