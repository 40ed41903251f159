import { MAX_TLS_CONNECTIONS } from '@enclaver/manifest';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bounds of odyn, each with its reason. */
export const limits = {
  /** `/proc/cmdline` is at most one page on x86. */
  cmdlineBytes: 4 * KIB,
  /** A real one is a few KiB; argv and env of a process cannot pass 2 MiB. */
  launchDescriptionBytes: 4 * MIB,
  /** `etc/passwd` and `etc/group` of the image, each: 10,000 users take under 1 MiB. */
  accountFileBytes: 4 * MIB,
  /** Files of `/proc` such as `meminfo` and `self/status`: some 1.5 KiB. */
  procFileBytes: 64 * KIB,
  /** Memory that the app cannot have: what odyn and the kernel's sockets may grow by under load ... */
  memoryReserveBytes: 64 * MIB,
  /** ... but no larger a part of a small machine. */
  memoryReserveShare: 0.25,
  /** As in the kernel (MAXSYMLINKS). */
  symlinks: 40,
  /** A record of the kernel's log, with its fields (`CONSOLE_EXT_LOG_MAX`), and the whole log: Debian's has 256 KiB and as much for fields. */
  kernelRecordBytes: 8 * KIB,
  kernelLogBytes: 4 * MIB,
  /** Supplementary groups of the app: what the starter takes. */
  groups: 256,

  /** One supervisor, perhaps a second one taking over, and somebody who looks: the rest is a fault. */
  statusClients: 16,
  /** Unsent status of one client: some eight lines of the longest kind. */
  statusBacklogBytes: 64 * KIB,
  /** Between two tellings of figures: as often as Prometheus asks by default, twice over. */
  figuresEveryMs: 30_000,

  /** Each may hold two blocks beyond the ring. */
  logClients: 16,
  /** A reader says at once where to start. */
  logHelloMs: 10_000,
  /** Records held for readers: 32 times the original's, under 1 % of the smallest memory planned for an enclave. */
  logRingBytes: 4 * MIB,
  /** Records are packed into blocks of this size; what is dropped is a block, and one write sends at most one. */
  logBlockBytes: 64 * KIB,
  /** One read of the app's output. An empty line takes 1 byte here and 24 in the ring: 768 KiB for each of two streams at worst. */
  outputReadBytes: 32 * KIB,
  /** The app's output waits while a reader is this far behind: the reads under way still fit into the ring. */
  logPauseBytes: 2 * MIB,
  /** ... until the reader is this close again ... */
  logResumeBytes: 1 * MIB,
  /** ... or so much time has passed: slower than 1 MiB/s, a reader loses records and no longer holds up the app. */
  logStallMs: 1_000,
  /** How long the output may stay open after the app has ended: another process, outside its group, may hold it. */
  outputDrainMs: 5_000,

  /** To a simulator of the NSM, on the same machine. */
  nsmConnectMs: 5_000,

  /** Files of the kernel that hold a word or a short list. */
  sysfsBytes: 4 * KIB,
  /** For the kernel's random numbers: without any hardware source it needs a second for its own. */
  entropyMs: 10_000,
  entropyPollMs: 50,

  /** From one look at the clock to the next: at the 6 s a week seen on Nitro it drifts by 3 ms meanwhile. */
  clockCheckMs: 300_000,
  /** A wall clock that moves by this much against the monotonic one was set: both are led alike. */
  clockJumpMs: 1_000,
  /** Closer to the NSM than this is good: emulated devices know whole seconds, and TLS, tokens and KMS bear more. */
  clockToleranceMs: 1_000,
  /** Further from the NSM than this is not led back while the app runs: at 0.5 ms a second it would take longer than a day. */
  clockFollowMs: 40_000,

  /** A parent that cannot take a connection to itself within this is not going to. */
  ingressConnectMs: 5_000,
  /** Per port; about 16 KiB of kernel memory each on both sides. */
  ingressConnections: 16_384,
  /** Connections without a byte for this long are cut: long polls and database links stay far below. */
  ingressIdleMs: 3_600_000,
  /** The parent sends the PROXY header with the connection itself. */
  ingressPeerMs: 5_000,
  /** How often refused connections are told in the log: one line for each port. */
  ingressRefusalLogMs: 10_000,
  /** Connections of one port with TLS, where there is memory for so many ... */
  tlsConnections: MAX_TLS_CONNECTIONS,
  /** ... and where there is little: ten browsers, in the memory that odyn keeps anyway. */
  tlsConnectionsLeast: 64,
  /**
   * Of one of them at worst, which sends what the app does not take and takes nothing of what the app sends: 490 to 610 KiB were measured in
   * Node and OpenSSL, where one that has said little has 50 and one that rests after it has sent much 215 (docs/performance.md).
   */
  tlsClientBytes: 640 * KIB,
  /** Memory that the app cannot have, for all of them: no larger a part of what is free. */
  tlsMemoryShare: 0.125,
  /** A client across the world on a bad line needs a second or two. */
  tlsHandshakeMs: 10_000,
  /** How long a client may go on with an earlier session: its certificate is not looked at again meanwhile. */
  tlsSessionMs: 3_600_000,
  /** How long sessions are sealed with the same keys. At each change clients of the time before need one full handshake. */
  tlsTicketKeyMs: 6 * 3_600_000,
  /** After an attested certificate could not be renewed: the NSM may be busy. */
  attestedRetryMs: 30_000,
  /** Between renewals of an attested certificate, at least, should documents ever live for moments only ... */
  attestedRenewMinMs: 1_000,
  /** ... and at most, should they live for long: clients that want a fresh document are not to be refused. */
  attestedRenewMaxMs: 3_600_000,
  /** How long a key or certificate is asked for at boot while KMS, its server or the parent is away: they may be starting, too. */
  tlsBootMs: 300_000,
  /** Between attempts: the first pause, doubled each time up to the last. */
  tlsRetryMs: 500,
  tlsRetryMaxMs: 15_000,
  /** One fetch, from the connection to the last byte. */
  tlsFetchMs: 30_000,
  /** How often fetched keys and certificates are asked for again: they are renewed weeks or at least days before they expire. */
  tlsRefreshMs: 3_600_000,
  /** Key, certificates or client CAs of a port: the CAs of the whole web are 220 KiB. */
  tlsFileBytes: 1 * MIB,
  /** After the app has ended its sockets are closed; this is for what clients have not taken yet. */
  ingressDrainMs: 2_000,
  /** How often the kernel's socket table is read for the app's listeners at first, and after `readyFastMs`. */
  readyPollMs: 50,
  readySlowPollMs: 500,
  readyFastMs: 30_000,
  /** Between the checks of an app that is starting: it is told ready soon, and not kept busy by being asked. */
  healthStartMs: 250,
  /** Of the answer to a check, whose status alone counts. */
  healthBodyBytes: 64 * KIB,
  /** Of the kernel's socket table, where those who listen come first, 150 bytes each: 7,000 of them; whoever is behind is not seen. */
  listenerTableBytes: 1 * MIB,

  /** Clients of the egress proxy, and requests that one of them may have sent ahead. */
  egressConnections: 8_192,
  egressPipelined: 128,
  /** Head of a proxied request: more than the servers behind it take (8 to 16 KiB). */
  egressHeaderBytes: 16 * KIB,
  /** ... and of its answer: cookies and policies make those larger. */
  egressAnswerHeaderBytes: 64 * KIB,
  egressHeadersMs: 30_000,
  /** Idle time of a client's kept connection. */
  egressKeepAliveMs: 65_000,
  /** To the parent, all attempts together: its proxy is replaced in some seconds, and the app need not notice. */
  egressConnectMs: 8_000,
  /** One attempt: the parent accepts in microseconds when it listens at all, and not every machine says when it does not. */
  egressAttemptMs: 1_000,
  /** First pause after nobody answered for the parent, doubled each time, and the longest. */
  egressRetryMs: 50,
  egressPauseMs: 500,
  /** For the parent's answer: name lookup and TCP connect, whose kernel default gives up after 127 s. */
  egressReplyMs: 130_000,
  egressIdleMs: 3_600_000,
  /** A program that tries a thousand datagrams a second costs one line. */
  unroutableLogMs: 10_000,
  /** Connections to one server kept for its next request: what reverse proxies keep to theirs. */
  egressIdlePerServer: 32,
  /** ... and to all of them: a descriptor and some 20 KiB each on either side of the vsock. */
  egressIdleServers: 128,
  /** ... for so long, or a second less than the server says: NATs and load balancers forget after 60 s and more. */
  egressIdleServerMs: 30_000,
  /** Connections that wait to be taken from the kernel: as many as it holds (`somaxconn`). */
  egressBacklog: 4_096,
  /** Names that an address stands for: a crawler's few minutes, some 3 MiB. */
  egressStandIns: 16_384,
  /** Refused names that are remembered so as to be logged once: 64 KiB. */
  egressRefusedNames: 1_024,
  /** A minute is what services behind load balancers say; another look-up costs nothing here. */
  dnsTtlSeconds: 60,
  /** TCP clients of the resolver; names are asked for by UDP but rarely otherwise. */
  dnsConnections: 64,
  dnsIdleMs: 10_000,
  /** Answers that a TCP client has not read: a hundred of the longest. */
  dnsBacklogBytes: 64 * KIB,
  /** Text of a parent's error that is passed on. */
  egressErrorText: 500,
  /** Destination named by a request: name, brackets, port. */
  egressAuthority: 1_024,

  /** Clients of the attestation API: the app's own processes, some 16 KiB each. */
  apiConnections: 1_024,
  /** Head of a request to it: the fields of a document fit into a query. */
  apiHeaderBytes: 16 * KIB,
  /** Body: three fields of 1 KiB, encoded, and room for keys that nobody reads. */
  apiBodyBytes: 64 * KIB,
  /** For a whole request, which comes over loopback. */
  apiRequestMs: 30_000,
  /** Idle time of a client's kept connection. */
  apiKeepAliveMs: 65_000,
  /** Random bytes of one answer: 16 calls to the NSM. */
  apiRandomBytes: 4 * KIB,

  /** One exchange with the store outside: the bus of the parent answers in milliseconds. Who asks tries again later. */
  storeMs: 5_000,

  /** odyn's own requests at a time to one server, of KMS or for credentials; more wait for one to end. */
  ownConnections: 64,
  /** ... kept for the next request, and how long: AWS closes idle ones after a minute or so. */
  ownIdleConnections: 16,
  ownIdleMs: 20_000,
  /** Name look-up and connect outside (10 s there), and TLS. */
  ownConnectMs: 15_000,
  /** Head of an answer; those of AWS have 1 KiB. */
  ownHeaderBytes: 16 * KIB,

  /** Each exchange with a source of credentials. The metadata service answers in milliseconds; a lost packet costs 1 s. */
  credentialsMs: 3_000,
  /** An answer with credentials: 1.5 KiB with the longest session tokens seen. */
  credentialsBytes: 64 * KIB,
  /** Credentials are fetched anew when they are valid for less than this: what AWS's SDKs do. */
  credentialsEarlyMs: 300_000,
  /** After a refresh that failed, while the old ones are valid. */
  credentialsRetryMs: 10_000,

  /** Clients of the KMS proxy: the app's own processes. */
  kmsConnections: 1_024,
  /** Head of a request: a session token takes 2 KiB, a presigned query the same again. */
  kmsHeaderBytes: 16 * KIB,
  /** For a whole request, which comes over loopback. */
  kmsRequestMs: 30_000,
  /** Idle time of a client's kept connection. */
  kmsKeepAliveMs: 65_000,
  /** A request to KMS: the largest is a Decrypt with an attestation document of 256 KiB in base64. */
  kmsRequestBytes: 512 * KIB,
  /** An attested answer, which is held in memory: a key pair of RSA-4096 takes 12 KiB. */
  kmsAnswerBytes: 64 * KIB,
  /** A call to KMS to the end of its answer, the connection included. AWS's SDKs give up later. */
  kmsCallMs: 30_000,
  /** An attestation document is used this long: far below the five minutes after which KMS refuses it by common account. */
  kmsDocumentMs: 60_000,
  /** How far the time of the app's signature may be from ours, as at AWS. */
  kmsSignatureMs: 300_000,
  /** Our clock and KMS's: KMS refuses signatures from 300 s on. */
  kmsClockMs: 240_000,
  /** Certificate authorities in `kms_proxy.ca_file`: those of the whole web are 220 KiB. */
  kmsCaBytes: 1 * MIB,

  /** One request to an ACME directory; authorities answer within seconds. */
  acmeRequestMs: 30_000,
  /** One answer: a chain of four certificates has some 8 KiB, an order of a hundred names 20. */
  acmeAnswerBytes: 64 * KIB,
  /** Certificates of a chain: four with a cross-signed root. */
  acmeChain: 10,
  /** A clock that goes wrong by so much still takes a certificate that has just been issued. */
  acmeSkewMs: 300_000,
  /** Pause between two looks at an order, at first and at last; authorities ask for 3 to 15 s by Retry-After. */
  acmePollMs: 1_000,
  acmeSlowPollMs: 10_000,
  /** For one validation, and for the issuing: seconds, minutes when an authority is busy. */
  acmeSettleMs: 60_000,
  /** Whoever orders holds off the other replicas for so long, and gives up before: four settlings and their requests. */
  acmeLeaseMs: 300_000,
  acmeOrderMs: 240_000,
  /** How often a replica looks whether another one orders or has a certificate ... */
  acmeWatchMs: 2_000,
  /** ... and how long whoever orders gives the others to show its challenges, too. */
  acmeShareMs: 3_000,
  /** Between two looks when the store or KMS does not work. */
  acmeFaultMs: 20_000,
  /** After an order that failed: the first pause and the longest. */
  acmeRefusedMs: 60_000,
  acmeRefusedMostMs: 6 * 3_600_000,
  acmeUnreachableMs: 10_000,
  acmeUnreachableMostMs: 600_000,
  /** What an authority may ask for by Retry-After: Let's Encrypt's weekly limits come with days. */
  acmeRetryAfterMostMs: 7 * 86_400_000,
  /** For the first certificate: a lease that a crash left, and an order. */
  acmeFirstMs: 600_000,

  /** How long the last word waits for readers before the machine is powered off. */
  lastWordMs: 10_000,
  /** How long a reader that has been sent the last word may keep its connection: it travels through the host meanwhile. */
  lastWordLingerMs: 1_000,
} as const;
