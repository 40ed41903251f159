/** Bounds of what a process keeps or waits for on the bus. */
export const limits = {
  /** First connection: a nats-server that was started beside us needs a moment, one that is not there must not hang the user. */
  connectTimeoutMs: 5_000,
  /** Other requests: the services answer from memory. */
  requestTimeoutMs: 30_000,
  /** A build of a large image on a slow disk, or its way from a registry; whether the service lives is seen long before that. */
  longTimeoutMs: 3_600_000,
  /** The server remembers a request from another account, some kilobyte, until it is answered, and no longer than this. */
  foreignAnswerMs: 5_000,
  /** Characters of an error's message, which may quote a request of megabytes: some hundred lines, and far below what the bus takes. */
  errorText: 8_000,
  /** Characters of an enclave's name in a request: as many as a manifest may have. */
  enclaveName: 128,
  /** A ping of the services: all that answer do so within milliseconds, this is how long we listen. */
  pingMs: 250,
  /** Between two pings of the service that works on a long request, and how many it may miss: a busy one answers late. */
  pingEveryMs: 2_000,
  missedPings: 3,
  /** Lifecycle events kept: some 12 for an enclave, so the last 5,000 enclaves or 64 MiB. */
  eventMessages: 60_000,
  eventBytes: 64 * 1024 * 1024,
  /** Log bytes kept for `enclaver logs`: the oldest go first. */
  logBytes: 256 * 1024 * 1024,
  /** Records of enclaves, some 4 KiB each: thousands, where a host runs tens and keeps the last 50 that ended. */
  enclaveBytes: 32 * 1024 * 1024,
  /** Enclaves that were forgotten and have something left in the bucket, for watches that are away for a moment; 121 bytes each. */
  removedEnclaves: 100,
  /** Log messages that a reader asks for at a time: some 100 KiB each under load, so a few MiB in its memory. */
  logReaderMessages: 32,
  /** How long the server waits for messages before the reader asks anew. */
  logReaderWaitMs: 30_000,
  /** A reader that has not asked for so long is forgotten by the server; it begins anew by itself. */
  logReaderIdleMs: 60_000,
  /** Messages that a sink asks for at once: each is a request of its own, and they go out together. */
  logStoreMessages: 16,
  /** Enclaves whose next line number a reader knows: more than run at a time, each some 60 bytes of a KV value. */
  logPlaces: 512,
  /** How far a sink has come: `logPlaces` enclaves of some 60 bytes; dozens of sinks. */
  logCursorValueBytes: 64 * 1024,
  logCursorBytes: 4 * 1024 * 1024,
  /** `enclaver logs --tail`: what is counted is two numbers for a message. */
  logTail: 1_000_000,
  /** What enclaves keep outside: of one 64 KiB (libs/wire, store.ts) and the bus's own header, of one image a few ... */
  blobValueBytes: 66 * 1024,
  blobKeys: 16,
  /** ... of all together some thousand images with a certificate each ... */
  blobBytes: 64 * 1024 * 1024,
  /** ... and what nobody has written for longer than a certificate lives (398 days) is of no use. */
  blobDays: 400,
  /** The supervisor makes streams and buckets; the others wait for it this long before they end, and are started again. */
  storageWaitMs: 15_000,
  storagePollMs: 100,
  /** How far each webhook has come: at most 4,096 positions (services/webhooks) of 7 digits; some tens of webhooks. */
  eventCursorValueBytes: 64 * 1024,
  eventCursorBytes: 4 * 1024 * 1024,
  /** Between two signs of life of a watch; after two that do not come it is set up anew, as when the server has restarted. */
  heartbeatMs: 2_000,
  /** Pause before a state, event or log message that the server did not store is sent again. */
  storeRetryMs: 250,
  /** A server that is there and has not stored for so long after a first try that failed does not store for now; how often is looked. */
  storeStalledMs: 5_000,
  storeLookMs: 2_000,
  /** Certificates in a credentials file: a few of some 2 KiB. */
  caBytes: 64 * 1024,
  /** A host of a fleet that is there answers from memory: a link across continents and a busy supervisor take a second. */
  fleetTimeoutMs: 5_000,
  /** Hosts of one fleet: each is an account of the hub and, for who follows its events, a request every `fleetPollMs`. */
  fleetHosts: 1_000,
  /** What a host says is read at once; this is how soon a host that is back is seen. */
  fleetPollMs: 10_000,
  /** The word of an event can be here before the event is stored there: so often, after so long, it is looked for again. */
  fleetLooks: 20,
  fleetLookMs: 50,
  /** Events of all hosts that wait for a slow reader; the others stay where they are. */
  fleetEventsWaiting: 64,
  /** So many losses of the connection in so long are worth a warning: one or two are a restart of nats-server. */
  unstableLosses: 3,
  unstableMs: 600_000,
  /** Warnings of one process at a time: some kinds, a few of them for each enclave. */
  warnings: 256,
  /** A warning is written again each minute, and vanishes after three without that: its service is gone. */
  warningRefreshMs: 60_000,
  warningTtlMs: 180_000,
  /** One has a sentence or two; all of a host's processes together come to far less. */
  warningValueBytes: 8 * 1024,
  warningBytes: 8 * 1024 * 1024,
  /** A lease whose holder is silent for so long is another's: a process that is stopped by its host for a moment keeps it. */
  leaseMs: 10_000,
  /** A lease says which process holds it: some 300 bytes, and the old revision until it is dropped. */
  leaseBytes: 64 * 1024,
  leaseValueBytes: 2 * 1024,
} as const;
