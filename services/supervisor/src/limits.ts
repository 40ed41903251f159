/** Bounds of the supervisor, each with its reason. */
export const limits = {
  /** Enclaves at a time: AWS allows four on one parent, a development machine runs out of memory long before this. */
  enclaves: 64,
  /** Listeners of one enclave: with egress as many descriptors as go with one message to another outer-proxy (SCM_MAX_FD, 253). */
  publishedPorts: 252,
  /** What that message has of them; the kernel takes 208 KiB at once. */
  publishedBytes: 160 * 1024,
  /** Ended enclaves that are remembered, for `enclaver ps --all`. */
  endedRecords: 50,
  /** For the bus to store that an enclave was accepted: it takes milliseconds, a restart of nats-server some seconds. */
  acceptMs: 10_000,
  /** Pause before a restart: doubled with each in a row up to the longest, and of that a random part between half and all. */
  restartPauseMs: 1_000,
  restartPauseMaxMs: 60_000,
  /** So long must an enclave have been ready for its end to be the first of a new row. */
  restartHealthyMs: 60_000,
  /** From the request of an update to `ready` of the new enclave: the old one serves meanwhile. */
  updateStartMs: 300_000,
  /** Before the outer-proxy is asked once more to move ports, and until an update without its answer has failed. */
  handoverRetryMs: 5_000,
  handoverMs: 30_000,
  /** For the connections of an enclave that was replaced, where the update names no time: as long as a stop's grace. */
  drainMs: 10_000,
  /** Holders named when a host is full. */
  namedHolders: 8,
  /** For the outer-proxy to open its listeners or to say why not. */
  proxyMs: 15_000,
  /** From the machine's start to init's heartbeat: 3 to 4 s without hardware virtualisation, ten times that on a busy host. */
  heartbeatMs: 60_000,
  /** Boots of one start: three in a hundred hang without `tsc_early_khz`, none were seen with it. */
  boots: 2,
  /** For a machine that is being started when the supervisor is told to end; a service has 30 s for its end. */
  launchLeftMs: 20_000,
  /** From the heartbeat to the first status. */
  statusMs: 60_000,
  /** One try to reach the status port, and the pause between two. A port that nobody listens at refuses at once. */
  statusConnectMs: 2_000,
  statusRetryMs: 50,
  /** Silence of a status port that has spoken before: init reports a crash of odyn there for up to 5 s. */
  statusSilenceMs: 6_500,
  /**
   * While a status connection is open and says nothing: between two looks at whether the port still answers, for its first byte,
   * and looks in vain in a row that make an enclave count as lost. One whose app keeps its only processor busy answers in 0.1 s.
   */
  statusProbePauseMs: 10_000,
  statusAnswerMs: 10_000,
  statusProbes: 3,
  /** When a machine is gone, its last status may still be on its way through this host; a death must be told at once. */
  lastStatusMs: 15,
  /** When a machine ends during its boot, its last console lines are on their way over the bus. */
  consoleMs: 300,
  /** Last console lines in an enclave's final event, and characters of each. */
  consoleLines: 50,
  consoleLineLength: 500,
  /** Store requests of one enclave at a time, and how long one may take: odyn asks one after another, and gives up earlier. */
  storeClients: 8,
  storeMs: 15_000,
  /** Grace time of a stop that names none: as `docker stop`. */
  graceMs: 10_000,
  /** Beyond the grace time, for the inside to report the end of the app. */
  graceExtraMs: 5_000,
  /** After the app's end: for the log-relay to publish what is left. */
  logMs: 10_000,
  /** A command of nitro-cli but for the wait for the boot: it asks the process of each enclave, which answers in milliseconds. */
  nitroCommandMs: 30_000,
  /** After the end of a command, for what is left in its pipes. */
  nitroPipeMs: 1_000,
  /** What a command prints: a description of four enclaves with the inspection of their images takes some 40 KiB. */
  nitroOutputBytes: 1024 * 1024,
  /** For a start that a supervisor has left to nitro-cli alone: it waits 180 s itself, for an image below 6 GiB in 100 GiB of memory. */
  nitroStartLeftMs: 300_000,
  /** Tries of a start that fails for what passes by itself, with pauses of 1, 2 and 3 s (aws-nitro-enclaves-cli 433). */
  nitroStarts: 4,
  nitroRetryMs: 1_000,
  /** Before too few CPUs or too little memory refuse a start: an enclave that is ending may give back what it holds. */
  nitroSettleMs: 3_000,
  nitroSettleLookMs: 250,
  /** After `terminate-enclave` has said yes, for the process that held the enclave to end; then it is killed. */
  nitroGoneMs: 5_000,
  /** Between two looks at the process of an enclave: its end must be told within 100 ms. */
  processLookMs: 25,
  /** Steps to and fro and words on its clock that are taken of one enclave: so many at once, then one in so long, and always the last. */
  stepsAtOnce: 10,
  stepMs: 10_000,
  /** Between two figures of one enclave that are taken: odyn tells some every 30 s. */
  figuresMs: 10_000,
  /** Between two looks at how full the bus is: it fills over hours. */
  storageLookMs: 60_000,
} as const;

/** The same bounds with other numbers, for tests that would otherwise wait for minutes. */
export type Limits = { readonly [Name in keyof typeof limits]: number };
