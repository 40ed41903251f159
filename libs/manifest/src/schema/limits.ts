import * as z from 'zod';
import { MAX_INT32 } from '../limits.ts';

const DEFAULT_PIDS = 4096;

/** Hard limit of open files that init sets. */
const MAX_OPEN_FILES = 1_048_576;

const count = (max: number, description: string, least = 1) =>
  z
    .int()
    .min(least)
    .max(max)
    .meta({ description, allowed: `a whole number, ${least} to ${max}` });

export const limits = z
  .strictObject({
    memory_mb: z
      .int()
      .min(16)
      .max(MAX_INT32)
      .meta({
        description: 'Memory of the application in MiB. Without it, all that there is but what Enclaver itself needs.',
        allowed: 'a whole number of at least 16',
      })
      .nullish(),
    pids: count(4_194_304, 'Processes and threads of the application.').meta({ default: DEFAULT_PIDS }).nullish(),
    open_files: count(
      MAX_OPEN_FILES,
      `Open files of each process. Without it, 65536, which a process may raise to ${MAX_OPEN_FILES}.`,
      16,
    ).nullish(),
  })
  .meta({ description: 'What the application may use of the machine.', allowed: 'a map' });

export interface Limits {
  memoryMb?: number;
  pids: number;
  openFiles?: number;
}

export function normaliseLimits(raw: z.output<typeof limits> | null | undefined): Limits {
  const { memory_mb: memoryMb, pids, open_files: openFiles } = raw ?? {};
  return {
    ...(memoryMb == null ? {} : { memoryMb }),
    pids: pids ?? DEFAULT_PIDS,
    ...(openFiles == null ? {} : { openFiles }),
  };
}
