/** Bounds of what a reader waits for and keeps. */
export const limits = {
  /** A server that is not there must not hang the program. */
  connectTimeoutMs: 5_000,
  /** Between two tries to take up a lost connection. */
  reconnectMs: 250,
  /** Between two signs of life of the server; after two that do not come the reader is set up anew. */
  heartbeatMs: 2_000,
  /** What a durable name has taken is forgotten when nobody has read under it for this long. */
  durableKeptMs: 30 * 86_400_000,
  /** Names of enclaves that are remembered: some hundred thousand bytes. */
  names: 1_000,
} as const;
