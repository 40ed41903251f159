import * as z from 'zod';
import { MAX_INT32, MIN_MEMORY_MB } from '../limits.ts';

const DEFAULT_CPU_COUNT = 2;
const DEFAULT_MEMORY_MB = 4096;

export const defaults = z
  .strictObject({
    cpu_count: z
      .int()
      .min(1)
      .max(MAX_INT32)
      .meta({
        description: 'Number of vCPUs.',
        allowed: 'a whole number of at least 1',
        default: DEFAULT_CPU_COUNT,
      })
      .nullish(),
    memory_mb: z
      .int()
      .min(MIN_MEMORY_MB)
      .max(MAX_INT32)
      .meta({
        description: 'Memory in MiB.',
        allowed: `a whole number of at least ${MIN_MEMORY_MB}`,
        default: DEFAULT_MEMORY_MB,
      })
      .nullish(),
  })
  .meta({ description: 'What `run` uses unless told otherwise.', allowed: 'a map' });

export interface Defaults {
  cpuCount: number;
  memoryMb: number;
}

export function normaliseDefaults(raw: z.output<typeof defaults> | null | undefined): Defaults {
  return { cpuCount: raw?.cpu_count ?? DEFAULT_CPU_COUNT, memoryMb: raw?.memory_mb ?? DEFAULT_MEMORY_MB };
}
