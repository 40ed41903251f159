/** A benchmark: `node bench/<name>/main.ts [ROUNDS]` by itself. */
export interface Part {
  readonly name: string;
  readonly what: string;
  /** So that medians mean something, and as few as show that it runs. */
  readonly rounds: number;
  readonly quickRounds: number;
}

/** In the order of a byte's way: relay, ingress, egress, what odyn does, what the host does. */
export const parts: readonly Part[] = [
  { name: 'relay', what: 'one hop of the relay beside haproxy, nginx, socat and Node', rounds: 5, quickRounds: 1 },
  { name: 'ingress', what: 'client to app through outer-proxy and odyn, beside two socat', rounds: 5, quickRounds: 1 },
  {
    name: 'scale',
    what: 'what a connection costs beside 10 to 10,000 others, and an enclave beside three',
    rounds: 5,
    quickRounds: 1,
  },
  { name: 'fairness', what: 'what enclaves keep beside one that takes all it can', rounds: 3, quickRounds: 1 },
  { name: 'http', what: 'HTTP mode of the outer-proxy beside haproxy and nginx', rounds: 5, quickRounds: 1 },
  { name: 'egress', what: 'the way out beside tinyproxy and squid', rounds: 5, quickRounds: 1 },
  { name: 'tls', what: 'TLS that ends in odyn beside openssl s_server', rounds: 5, quickRounds: 1 },
  { name: 'kms', what: 'the KMS proxy beside the RSA operations that bound it', rounds: 5, quickRounds: 1 },
  {
    name: 'log',
    what: 'log lines from the app to the bus and a file, beside cat and rsyslog',
    rounds: 5,
    quickRounds: 1,
  },
  { name: 'bus', what: 'requests and events beside a bare NATS client', rounds: 5, quickRounds: 1 },
  { name: 'build', what: 'EIF assembly beside cat and sha384sum', rounds: 5, quickRounds: 1 },
  {
    name: 'memory',
    what: 'services and odyn, idle and with 10,000 idle connections, beside haproxy',
    rounds: 2,
    quickRounds: 1,
  },
  { name: 'lifecycle', what: 'boot, notice of death, memory with an enclave', rounds: 8, quickRounds: 1 },
];
