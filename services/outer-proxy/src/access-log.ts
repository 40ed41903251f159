import type { Counter, Metrics } from '@enclaver/telemetry';
import { destination } from 'pino';
import { limits } from './limits.ts';

/** One connection, or one request of HTTP mode, at its end. Bytes are counted as the enclave sees them: into it, and out of it. */
export interface AccessLine {
  /** Absent of requests that are for no enclave. */
  enclave?: string;
  name?: string;
  direction: 'ingress' | 'egress';
  /** Who connected: a client's address, or `enclave`. */
  peer: string;
  /** Where it led: the port inside, or the host and port outside. */
  target: string;
  /** The address that was dialled, of egress. */
  address?: string;
  bytesIn: number;
  bytesOut: number;
  ms: number;
  /**
   * `closed`, `reset`, `idle`, `cancelled` (cut by us), `connect-failed`, `refused` (by the parent's policy); of requests a
   * `RequestOutcome`.
   */
  end: string;
  errno?: number;
  /** Of requests alone: what was asked for, and the answer's status, 0 where there was none. */
  method?: string;
  host?: string;
  path?: string;
  status?: number;
  /** The answer was ours, with this code. */
  code?: string;
}

/** One JSON line on stdout for each connection and each request. Lines that stdout does not take in time are left out and counted. */
export class AccessLog {
  readonly #out = destination({ dest: 1, sync: false, maxLength: limits.accessLogBytes });
  readonly #lost: Counter;

  constructor(metrics: Metrics) {
    this.#lost = metrics.counter({
      name: 'enclaver_proxy_access_lines_lost_total',
      help: 'Lines of the access log that stdout did not take in time.',
    });
    this.#out.on('drop', () => this.#lost.add({}));
  }

  write(line: AccessLine): void {
    this.#out.write(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`);
  }

  close(): void {
    this.#out.flushSync();
  }
}
