/** Bounds of a machine's start, each with its reason. */
export const limits = {
  /** For vhost-device-vsock and QEMU to open their sockets. */
  socketMs: 10_000,
  socketRetryMs: 10,
  /** For the QMP socket of a machine that another process started: it is there, or the machine is gone. */
  adoptMs: 2_000,
  /** Longest QMP line: events and the greeting take under 1 KiB. */
  qmpLineBytes: 64 * 1024,
  /** `sun_path` of a Unix socket is 108 bytes with its NUL (unix(7)). */
  socketPathBytes: 107,
  /** What QEMU wrote about a start that failed. */
  logTailBytes: 2_000,
} as const;
