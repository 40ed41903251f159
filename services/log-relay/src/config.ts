import { serviceEnvSchema } from '@enclaver/bus/service';
import * as z from 'zod';
import { parseSinks, type SinkSpec } from './sinks/sink-spec.ts';

export const envSchema = serviceEnvSchema.extend({
  /** Where the lines go to beside the bus: URLs with blanks between them (docs/logs.md). */
  ENCLAVER_LOG_SINKS: z
    .string()
    .default('')
    .transform((text, context): SinkSpec[] => {
      try {
        return parseSinks(text);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        context.addIssue({ code: 'custom', message: error.message });
        return z.NEVER;
      }
    }),
});
