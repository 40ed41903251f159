import * as z from 'zod';
import { errorDataSchema } from './bus-error.ts';

/** What is not as it should be, as data: a service raises it, and clears it when it is over. */
export const warningSchema = errorDataSchema.extend({
  /** `info`: worth knowing; `warning`: somebody should look; `error`: something does not work. */
  severity: z.enum(['info', 'warning', 'error']),
  /** Id of the enclave it is about, where it is about one. */
  enclave: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .optional(),
});

/** A warning as others read it. */
export const raisedWarningSchema = warningSchema.extend({
  service: z.string(),
  /** ISO 8601. */
  since: z.string(),
});

/** Data of the event `enclaver.v1.warning.<service>.<code>`. */
export const warningEventSchema = z.object({ state: z.enum(['raised', 'cleared']), warning: raisedWarningSchema });

export type Warning = z.infer<typeof warningSchema>;
export type RaisedWarning = z.infer<typeof raisedWarningSchema>;
