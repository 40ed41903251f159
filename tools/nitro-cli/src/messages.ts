import * as z from 'zod';

/** What a command asks the process of an enclave; `uid` is who asks, as the command says. */
export const requestSchema = z.object({
  command: z.enum(['describe', 'terminate', 'console']),
  uid: z.number(),
});

/** One line of JSON; behind the answer to `console` comes the console. */
export const answerSchema = z.union([
  z.object({ value: z.unknown() }),
  z.object({ failure: z.object({ number: z.number(), said: z.string() }) }),
]);

/** What `run-enclave` gives the process that it starts. */
export const launchSchema = z.object({
  name: z.string(),
  eifPath: z.string(),
  memoryMb: z.number(),
  cpus: z.union([z.object({ count: z.number() }), z.object({ ids: z.array(z.number()) })]),
  cid: z.number(),
  debug: z.boolean(),
});

/** What that process says while it starts: lines for stderr, and in the end how it went. */
export const reportSchema = z.union([
  z.object({ progress: z.string() }),
  z.object({ started: z.unknown() }),
  z.object({ failed: z.object({ number: z.number(), said: z.string(), backtrace: z.array(z.string()) }) }),
]);

export type Request = z.infer<typeof requestSchema>;
export type Answer = z.infer<typeof answerSchema>;
export type Launch = z.infer<typeof launchSchema>;
export type Report = z.infer<typeof reportSchema>;
