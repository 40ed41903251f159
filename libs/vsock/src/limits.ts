/** Bounds of this library, each with its reason. */
export const limits = {
  /** Connect, with the CONNECT/OK exchange, when the caller names no time: a boot of an enclave's listener fits in. */
  connectTimeoutMs: 10_000,
  /** Queue of a listener; the kernel cuts it to net.core.somaxconn. */
  backlog: 4096,
  /** Connections taken from a listener before other events of the loop are served. */
  acceptBatch: 16,
  /** Pause of a JavaScript listener after EMFILE and the like. */
  acceptPauseMs: 100,
  /** Open streams of one JavaScript listener, of those that share a port as well; more are closed at once. */
  listenerStreams: 10_000,
  /** One read of a stream: the size above which single vsock transfers gain nothing. */
  readBytes: 64 * 1024,
  /** One write of a vsock stream: throughput collapses above 512 KiB and gains nothing above this. */
  writeBytes: 64 * 1024,
  /** "OK 4294967295\n" is 14 bytes and Firecracker reads 32; anything longer is no answer. */
  answerBytes: 32,
  /** First and longest wait before a Unix connect is tried again after EAGAIN (its queue is full and cannot be polled). */
  retryFirstMs: 1,
  retryMaxMs: 64,
  /** Shared buffer of a relay thread: larger gained nothing in the measurements of docs/relay.md. */
  relayBufferBytes: 256 * 1024,
  relayBufferMaxBytes: 8 * 1024 * 1024,
  /** Bytes one relay thread keeps for slow readers before it only passes on what they take. */
  relayPendingBytes: 64 * 1024 * 1024,
  /** ... and those of one group before it alone is served so: the others' memory is not for it. */
  groupPendingBytes: 16 * 1024 * 1024,
  bytesPerSecondMax: 1e12,
  relayThreads: 16,
  /** Pairs joined and not yet ended, per relay: about 300 bytes each here, 8 KB each in the kernel. */
  relayJoins: 65_536,
  /** Bytes handed over in front of a stream: Node's own read-ahead is 64 KiB, an HTTP head 16 KiB. */
  headBytes: 1024 * 1024,
  /** How long a stream that is handed over may take to write out what JavaScript wrote to it before. */
  takeoverMs: 10_000,
  /** First bytes of a connection that JavaScript looks at: each one that waits holds so many. */
  screenBytes: 16 * 1024,
  /** A message between processes: the record of an enclave and its listeners. The kernel takes 208 KiB at once (net.core.wmem_default). */
  channelMessageBytes: 200 * 1024,
  /** Messages that wait for the other process to read; one that is so far behind is given up. */
  channelMessages: 4_096,
  connectionsMax: 1_000_000,
  /** Longest timeout: what fits a signed 32-bit number of milliseconds. */
  timeoutMaxMs: 0x7fff_ffff,
} as const;
