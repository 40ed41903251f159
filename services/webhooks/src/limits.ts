/** Bounds of the webhooks. */
export const limits = {
  /** Targets: each has a reader and connections of its own. */
  targets: 32,
  /** Requests to one target at once; those of one enclave come one after another. */
  concurrency: 8,
  /** Events of one target read and not yet delivered: some 4 KiB each. */
  waiting: 256,
  /** How far the newest event read may be ahead of the oldest one not delivered: what the cursor has to list. */
  ahead: 4_096,
  /** One request, from its connection to the head of the answer. */
  requestMs: 10_000,
  /** The first pause after a failure; each is twice as long as the one before, less up to half at random ... */
  retryMs: 1_000,
  /** ... up to this: with ten tries an event is given up after a quarter of an hour or less. */
  retryMaxMs: 300_000,
  attempts: 10,
  /** Bytes of the file of targets, and of a secret. */
  configBytes: 256 * 1024,
  secretBytes: 4 * 1024,
} as const;

export type Limits = { [K in keyof typeof limits]: number };
