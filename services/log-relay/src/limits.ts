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
  /** A console that ended under a machine that runs has another reader, which may go: it is tried again after that. */
  consoleAgainMs: 1_000,
  /** Longest console line, as it is nobody's protocol and may never end; what is longer goes on in the next entry. */
  consoleLineBytes: 8 * 1024,
  /** After `exited`: how long the enclave's own end of the log is waited for. The supervisor waits 10 s for us. */
  exitedMs: 8_000,
  /** After an end with the log stream broken, or after `failed` and `lost`: what is there is published within this time. */
  brokenMs: 1_500,
  /** The bus is back, and could not be asked what runs: pause before the next try. Those that were read before are read on meanwhile. */
  catchUpAgainMs: 1_000,
  /** Enclaves at a time; more than the supervisor starts on one host. */
  enclaves: 256,
  /** The warning of lost lines is over when none was lost for so long: somebody should have had the time to see it … */
  lossQuietMs: 600_000,
  /** … and says the new number at most so often. */
  lossTellMs: 5_000,
  /** Of its share of the log an enclave keeps so much when it has more: to drop is work for the bus, done seldom. */
  shareKept: 0.75,
  /** Messages dropped together; a share is 4 MiB with the 64 enclaves that a supervisor starts. */
  stretchBytes: 1024 * 1024,
  /** What nats-server keeps of a message beside its data: subject, header with its id, its own 30 bytes. */
  messageOverheadBytes: 160,
  /** Messages that are to be dropped and could not be; beyond that the oldest are left to the bus. */
  doomedMessages: 100_000,
  /** Sinks of one log-relay: each reads the whole log again. */
  sinks: 8,
  /** Of what was published last, for sinks that are close behind; some three times as much in memory. */
  recentBytes: 1024 * 1024,
  /** How far a sink has come is stored so often; what comes within it is given again after a crash. */
  sinkStoreMs: 1_000,
  /** A sink with nothing to do looks again after that, for what another log-relay has published. */
  sinkPollMs: 5_000,
  /** At the end of this process, for what is on the bus by then. */
  sinkDrainMs: 5_000,
  /** Between two tries of a sink that takes nothing, doubled up to the second. */
  sinkRetryMs: 250,
  sinkRetryMaxMs: 15_000,
  /** Log files: of at least this, as a batch is written in one piece; with so many older ones; open at a time. */
  fileBytesMin: 64 * 1024,
  fileCountMax: 1_000,
  openFiles: 128,
  /** One request to an OpenTelemetry collector, some MiB at most, and what is read of its answer. */
  otlpTimeoutMs: 10_000,
  otlpAnswerBytes: 64 * 1024,
  /** A syslog server that does not take what is sent for so long is taken as gone. */
  syslogTimeoutMs: 10_000,
  /** Messages written to it in one piece, some 17 KiB each at most. */
  syslogBurst: 64,
  /** A daemon on this machine whose queue is full: it is tried again so often, and after the second is taken as stuck. */
  datagramRetryMs: 5,
  datagramTimeoutMs: 10_000,
} as const;
