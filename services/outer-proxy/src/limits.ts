import type { ConnectionLimits } from '@enclaver/bus';
import type { GroupLimits } from '@enclaver/vsock';

/** Bounds of the outer-proxy, each with its reason. */
export const limits = {
  /** Open connections of one ingress port: each takes two descriptors and some 8 KiB in the kernel. */
  ingressConnections: 10_000,
  /** Vsock connects answer in microseconds; a guest that is short of memory or still boots gets this long. */
  ingressConnectMs: 5_000,
  /** Open egress connections of one enclave: a hostile one must leave descriptors to the others. */
  egressConnections: 4_096,
  /** New egress connections of one enclave in a second: each costs this process a tenth of a millisecond, which all share. */
  egressPerSecond: 2_000,
  /** Refused ones in a second before its others wait in the kernel's queue: refusing costs time that all share, too. */
  egressRefusalsPerSecond: 100,
  /** Look-ups at a time, and those of one enclave; each holds one of `threads` until the resolver gives up, 10 s and more. */
  threads: 16,
  lookups: 14,
  lookupsOfEnclave: 4,
  /** Lines of the access log that wait for stdout. */
  accessLogBytes: 4 * 1024 * 1024,
  /** Characters of a host and of a path in it: a client may send 16 KiB. */
  accessLogText: 1_024,
  /** An enclave that dials and then does not say where to: its request is one packet. */
  egressRequestMs: 5_000,
  /** Name look-up and connect together; the enclave waits a little longer for the answer. */
  egressConnectMs: 10_000,
  /** Connections end by themselves; dead peers are found by TCP keep-alive. */
  idleMs: 0,
  /** After the enclave's end, what it sent last is on its way to clients; after our last word to it, it may still close first. */
  drainMs: 2_000,
  /** Requests of one route of an enclave under way, upgraded connections among them: each has a connection to the inside. */
  httpRequests: 4_096,
  /**
   * What requests of one enclave and the bytes of their connections may take before others are served, and what a request counts
   * for beside its bytes: some milliseconds. A rate of bytes lets so much pass at once, as in the relay.
   */
  turnBytes: 1024 * 1024,
  turnCost: 16 * 1024,
  burstMs: 100,
  burstBytes: 256 * 1024,
  /**
   * Of the connections of an HTTP listener: from so many open on, each ends after its request, and each of its enclaves has an
   * equal part of these for its requests. The other ones are for those who have less.
   */
  httpCrowded: 5_000,
  /** Streams of one HTTP/2 connection, what servers commonly allow; and requests of one of HTTP/1.1 that wait for the answer before. */
  httpStreams: 128,
  /** Head of a request, more than most apps take; fields in it; and the head of an answer, which cookies make larger. */
  httpHeaderBytes: 16 * 1024,
  httpHeaders: 128,
  httpAnswerHeaderBytes: 64 * 1024,
  /** What an app of HTTP/2 may send ahead of a client that does not read: on one stream, and on all together. */
  httpStreamWindow: 256 * 1024,
  httpSessionWindow: 4 * 1024 * 1024,
  /** A client that sends its head byte by byte. */
  httpHeadersMs: 30_000,
  /** A body of which nothing moves. */
  httpBodyMs: 60_000,
  /** An enclave that does not begin to answer; what asks for more sends something first. */
  httpAnswerMs: 60_000,
  /** A client's connection without a request. */
  httpKeepAliveMs: 65_000,
  /** At the end of a listener, for connections without a request: one that is on its way is answered, and is the last. */
  httpLastCallMs: 1_000,
  /** A connection of HTTP/1.1 with a request, or a stream of HTTP/2, and no byte either way: as long as inside. */
  httpIdleMs: 3_600_000,
  /** Connections to one port of an enclave kept for the next request, and how long. A request that cannot be sent twice uses none. */
  httpKept: 64,
  httpKeptMs: 30_000,
  /** What open connections get when this process is told to end: less than the 10 s after which a container engine kills it. */
  drainSeconds: 8,
  drainSecondsMax: 3_600,
  /** Beside that, for an end in order. */
  closeMs: 5_000,
  /** Enclaves at a time; more than the supervisor starts on one host. */
  enclaves: 256,
  /** Longest text of a failure that an enclave is told; the frame has room for four times that. */
  messageLength: 500,
  /** Permissions of a published Unix socket: owner and group of its folder decide who connects. */
  socketMode: 0o660,
  /** Another outer-proxy of this host answers at once; one that hangs must not keep this one from serving. */
  peerMs: 2_000,
  /** Between two tries to lead, and until one that leads believes it. */
  peerRetryMs: 50,
  /** Between two looks at whether all outer-proxies have said something, and how many things that may be: two for each update. */
  agreeLookMs: 5,
  agreements: 1_024,
  /** Between two looks at what still drains. */
  drainLookMs: 50,
  /** Between two looks at what the listeners count, where nobody asks. */
  countMs: 10_000,
  /** A pause of a listener is told for so long: whoever looks after an alarm shall still find it. */
  acceptWarningMs: 600_000,
} as const;

export type Limits = { readonly [Name in keyof typeof limits]: number };

/** What bounds the connections of an enclave: what its run request says, and the defaults. */
export function groupLimits(asked: ConnectionLimits = {}): GroupLimits {
  const { ingressConnections, ingressPerSecond, ingressBytesPerSecond, egressBytesPerSecond } = asked;
  return {
    // Without a bound of its own an enclave has that of each port
    maxConnections: ingressConnections ?? 1_000_000,
    rate: ingressPerSecond === undefined ? undefined : { perSecond: ingressPerSecond, burst: ingressPerSecond },
    bytesPerSecond: { routes: ingressBytesPerSecond, egress: egressBytesPerSecond },
  };
}
