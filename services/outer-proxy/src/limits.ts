/** Bounds of the outer-proxy, each with its reason. */
export const limits = {
  /** Open connections of one ingress port: each takes two descriptors and some 8 KiB in the kernel. */
  ingressConnections: 10_000,
  /** Vsock connects answer in microseconds; a guest that is short of memory or still boots gets this long. */
  ingressConnectMs: 5_000,
  /** Open egress connections of one enclave: a hostile one must leave descriptors to the others. */
  egressConnections: 4_096,
  /** An enclave that dials and then does not say where to: its request is one packet. */
  egressRequestMs: 5_000,
  /** Name look-up and connect together; the enclave waits a little longer for the answer. */
  egressConnectMs: 10_000,
  /** Connections end by themselves; dead peers are found by TCP keep-alive. */
  idleMs: 0,
  /** After the enclave's end, what it sent last is on its way to clients; after our last word to it, it may still close first. */
  drainMs: 2_000,
  /** Enclaves at a time; more than the supervisor starts on one host. */
  enclaves: 256,
  /** Longest text of a failure that an enclave is told; the frame has room for four times that. */
  messageLength: 500,
} as const;
