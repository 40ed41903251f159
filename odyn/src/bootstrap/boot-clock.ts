import * as z from 'zod';

const microseconds = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform((text) => Number(text) / 1000);

const environmentSchema = z.object({
  ENCLAVER_INIT_STARTED_US: microseconds,
  ENCLAVER_ODYN_EXEC_US: microseconds,
});

/** Milliseconds on the guest's kernel clock at which init began, and at which it executed odyn. */
export interface BootTimes {
  readonly initMs: number;
  readonly odynMs: number;
}

/** What init put into the environment. @throws ZodError */
export function bootTimes(env: NodeJS.ProcessEnv): BootTimes {
  const { ENCLAVER_INIT_STARTED_US: initMs, ENCLAVER_ODYN_EXEC_US: odynMs } = environmentSchema.parse(env);
  return { initMs, odynMs };
}

/** Now, on the same clock: CLOCK_MONOTONIC, which differs from CLOCK_BOOTTIME only by time asleep; an enclave never sleeps. */
export function bootNowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
