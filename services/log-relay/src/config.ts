import { serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';

export const envSchema = serviceEnvSchema.extend({
  /** Also writes the lines to stdout: as they are behind the enclave's name, or as JSON. */
  ENCLAVER_LOG_STDOUT: z.enum(['text', 'json', 'off']).default('off'),
});

export type LogRelayEnv = z.infer<typeof envSchema>;
