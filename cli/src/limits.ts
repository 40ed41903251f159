/** Bounds of what the command and the stack it runs wait for. */
export const limits = {
  /** Pause before a service of the stack is started again: doubled at each failure, reset once it ran for a while. */
  restartPauseMs: 250,
  restartPauseMaxMs: 15_000,
  restartHealthyMs: 10_000,
  /** nats-server opens its port in some 50 ms; a slow disk takes longer to recover streams. */
  busStartMs: 20_000,
  /** Four Node processes that start at the same time on one busy core. */
  servicesStartMs: 30_000,
  /** A service finishes what runs; the supervisor stops its enclaves, whose apps have 10 s by default. */
  serviceStopMs: 30_000,
  busStopMs: 5_000,
  /**
   * nice(1) of log-relay and nats-server: a tenth of the outer-proxy's weight where processors are scarce, as in deploy/. What they do for one
   * enclave's flood of log would else be taken from the others' connections.
   */
  logNiceness: 10,
  /** The disk of the bus: looked at so often; full, where not two of the largest messages (4 MiB) fit; with room, where it will do for a while. */
  diskLookMs: 1_000,
  diskFullBytes: 8 * 1024 * 1024,
  diskRoomBytes: 64 * 1024 * 1024,
  /**
   * After an enclave ended, until the next lines of its log: the log-relay gives up on a silent log stream before that, so this only bounds
   * its death.
   */
  logEndMs: 15_000,
  /** A stop waits for the grace time and this long for the machine to go. */
  stopSlackMs: 20_000,
} as const;
