import { serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';

export const envSchema = serviceEnvSchema.extend({
  /** Folder of the enclaves' folders with their sockets. */
  ENCLAVER_RUN_DIR: z.string().startsWith('/').default('/run/enclaver'),
  /** 1: a supervisor that ends stops its enclaves, as one that belongs to a single `enclaver run` must. */
  ENCLAVER_STOP_ON_EXIT: z.enum(['0', '1']).default('0'),
});

export type SupervisorEnv = z.infer<typeof envSchema>;
