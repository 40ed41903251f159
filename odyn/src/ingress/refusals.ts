import { formatAddress, type IpAddress } from '@enclaver/manifest';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';

/** Connections that a port did not take in. */
export interface RefusalCounts {
  /** Over the bound on open connections. */
  refused: number;
  /** Over the rate. */
  rateLimited: number;
  /** By the rules for clients. */
  denied: number;
  /** Without a PROXY header from the parent that could be read in time. */
  badHeaders: number;
  /** Of a port with TLS: handshakes that failed or took too long. */
  failedHandshakes?: number;
}

export interface Refusal {
  /** The rule that decided, or what was wrong with the header. */
  readonly rule: string;
  /** As the parent says. */
  readonly client?: IpAddress;
}

/** What a port counts. */
export interface PortCounts extends RefusalCounts {
  /** Those that were let in. */
  accepted: number;
}

/** A port that takes connections in. */
export interface OpenPort {
  readonly port: number;
  readonly counts: PortCounts;
  /** The last one that its rules or its header kept out. */
  readonly lastRefusal: Refusal | undefined;
  /** Code of the last handshake that failed. */
  readonly lastFault?: string | undefined;
  close(): Promise<void>;
}

const KINDS = ['refused', 'rateLimited', 'denied', 'badHeaders', 'failedHandshakes'] as const;

/** Tells in the log how many connections each port has refused: one line at a time for each, however many there are. */
export class RefusalLog {
  readonly #log: OdynLog;
  readonly #ports: readonly OpenPort[];
  readonly #told = new Map<OpenPort, RefusalCounts>();
  readonly #timer: NodeJS.Timeout;

  /** `ports` may still grow. */
  constructor(log: OdynLog, ports: readonly OpenPort[]) {
    this.#log = log;
    this.#ports = ports;
    this.#timer = setInterval(() => this.#tell(), limits.ingressRefusalLogMs).unref();
  }

  /** Tells the last ones. */
  close(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    for (const open of this.#ports) {
      const { port, counts, lastRefusal, lastFault } = open;
      const told = this.#told.get(open);
      const news = KINDS.map((kind) => [kind, (counts[kind] ?? 0) - (told?.[kind] ?? 0)] as const).filter(
        ([, n]) => n > 0,
      );
      if (news.length === 0) continue;
      this.#told.set(open, counts);
      this.#log.warn('connections refused', {
        port,
        ...Object.fromEntries(news),
        lastRule: lastRefusal?.rule,
        lastClientAsParentSays: lastRefusal?.client && formatAddress(lastRefusal.client),
        lastFault,
      });
    }
  }
}
