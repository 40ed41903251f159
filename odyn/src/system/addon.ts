import { createRequire } from 'node:module';
import { join } from 'node:path';
import { OdynError } from '../odyn-error.ts';

/** The functions of odyn/native/*.c. A negative number is -errno. */
export interface Addon {
  /** At most 4096 bytes; the answer has at most 12,288. */
  nsmRequest(fd: number, request: Uint8Array): Promise<Buffer | number>;
  /** Tells once how a child that Node did not start has ended: its exit code, else -1; the number of the signal, else 0. */
  childWatch(pid: number, onEnd: (code: number, signal: number) => void): number;
  /** The wall clock, in microseconds since 1970. */
  clockSet(microseconds: number): number;
  /** Leads the wall clock forward by so many microseconds, or back, at 0.5 ms a second. */
  clockSlew(microseconds: number): number;
}

let loaded: Addon | undefined;

/** odyn's native part, loaded at first use: from ENCLAVER_ODYN_ADDON, else as `npm run build` makes it. @throws OdynError ADDON_MISSING */
export function addon(): Addon {
  if (loaded) return loaded;
  const path =
    process.env.ENCLAVER_ODYN_ADDON ?? join(import.meta.dirname, `../../../dist/native/odyn-${process.arch}.node`);
  try {
    loaded = createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    throw new OdynError('ADDON_MISSING', `the native part of odyn could not be loaded from ${path}`, {
      cause,
      remedy: 'npm run build',
    });
  }
  return loaded;
}
