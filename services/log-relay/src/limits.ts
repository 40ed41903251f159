/** Bounds of the log-relay, each with its reason. */
export const limits = {
  /** A batch is published when it holds so many bytes of text, or … */
  batchBytes: 64 * 1024,
  /** … when its oldest line has waited so long: people watch the log, and each message has a cost of its own. */
  batchMs: 20,
  /** Lines in one message: empty lines have no bytes, but each takes some 80 bytes of JSON; stays below 1 MiB with the text. */
  batchLines: 2_000,
  /** Text of one enclave that waits for the bus; beyond it the enclave's stream is not read, and odyn's ring takes over. */
  pendingBytes: 256 * 1024,
  /** Lines that wait, for the same reason as `batchLines`. */
  pendingLines: 8_000,
  /** Between two tries to reach an enclave's log port or console: it is not there before the kernel is up. */
  retryMs: 50,
  /** One try. A guest that is not up refuses at once; one that hangs must not hold the next try back. */
  connectMs: 2_000,
  /** Longest console line, as it is nobody's protocol and may never end; what is longer goes on in the next entry. */
  consoleLineBytes: 8 * 1024,
  /** After `exited`: how long the enclave's own end of the log is waited for. The supervisor waits 10 s for us. */
  exitedMs: 8_000,
  /** After an end with the log stream broken, or after `failed` and `lost`: what is there is published within this time. */
  brokenMs: 1_500,
  /** Enclaves at a time; more than the supervisor starts on one host. */
  enclaves: 256,
} as const;
