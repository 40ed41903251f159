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
}

export interface Refusal {
  /** The rule that decided, or what was wrong with the header. */
  readonly rule: string;
  /** As the parent says. */
  readonly client?: IpAddress;
}

interface Watched {
  readonly port: number;
  counts(): Partial<RefusalCounts>;
  lastRefusal(): Refusal | undefined;
}

const KINDS = ['refused', 'rateLimited', 'denied', 'badHeaders'] as const;

/** Tells in the log how many connections each port has refused: one line at a time for each, however many there are. */
export class RefusalLog {
  readonly #log: OdynLog;
  readonly #ports: { readonly watched: Watched; told: Partial<RefusalCounts> }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(log: OdynLog) {
    this.#log = log;
    this.#timer = setInterval(() => this.#tell(), limits.ingressRefusalLogMs).unref();
  }

  watch(watched: Watched): void {
    this.#ports.push({ watched, told: {} });
  }

  /** Tells the last ones. */
  close(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    for (const port of this.#ports) {
      const counts = port.watched.counts();
      const news = KINDS.map((kind) => [kind, (counts[kind] ?? 0) - (port.told[kind] ?? 0)] as const).filter(
        ([, n]) => n > 0,
      );
      if (news.length === 0) continue;
      port.told = { ...counts };
      const { rule, client } = port.watched.lastRefusal() ?? {};
      this.#log.warn('connections refused', {
        port: port.watched.port,
        ...Object.fromEntries(news),
        lastRule: rule,
        lastClientAsParentSays: client && formatAddress(client),
      });
    }
  }
}
