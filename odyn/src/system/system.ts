import { readBounded } from '../bootstrap/read-bounded.ts';
import { limits } from '../limits.ts';
import { addon } from './addon.ts';

/** The machine that odyn is alone in: what it reads and changes there. Files are paths. */
export interface System {
  /** Takes bytes into the kernel's pool of random numbers. */
  readonly random: string;
  /** Bits in that pool; 256 when it is ready for keys. */
  readonly entropyAvailable: string;
  /** Name of the hardware source of random numbers. */
  readonly randomSource: string;
  /** Names of the clock sources there are, and of the one in use, which is also set there. */
  readonly clockSources: string;
  readonly clockSource: string;
  /** The wall clock, and a clock that only goes forward, in milliseconds. */
  wallMs(): number;
  monotonicMs(): number;
  /** 0 or -errno. */
  setClock(unixMicroseconds: number): number;
  /** Leads the wall clock forward by so much, or back, at 0.5 ms a second. 0 or -errno. */
  slewClock(microseconds: number): number;
}

/** Linux, as root. */
export const system: System = {
  random: '/dev/random',
  entropyAvailable: '/proc/sys/kernel/random/entropy_avail',
  randomSource: '/sys/class/misc/hw_random/rng_current',
  clockSources: '/sys/devices/system/clocksource/clocksource0/available_clocksource',
  clockSource: '/sys/devices/system/clocksource/clocksource0/current_clocksource',
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setClock: (microseconds) => addon().clockSet(microseconds),
  slewClock: (microseconds) => addon().clockSlew(microseconds),
};

/** A file of the kernel that holds a word, or a few. @throws OdynError FILE_UNREADABLE */
export function readWord(path: string): string {
  return readBounded(path, limits.sysfsBytes).toString('latin1').trim();
}
