/** Bounds of the emulator, each with its reason. */
export const limits = {
  /** A lock is held for the milliseconds that counting takes. */
  lockMs: 10_000,
  lockRetryMs: 10,
  /** The process of an enclave answers in milliseconds; one that does not in this time is reported as E39. */
  askMs: 5_000,
  /** The heartbeat: nitro-cli gives an image of up to 6 GiB and 100 GiB of memory twice 90 s. */
  bootMs: 180_000,
  /** Last bytes of a console that are kept for who attaches later. */
  consoleBytes: 64 * 1024,
  /** Last lines of the console in the log of a boot that failed. */
  consoleLines: 20,
  /** A request between the command and the process of an enclave, and its answer but for console text. */
  messageBytes: 64 * 1024,
} as const;
