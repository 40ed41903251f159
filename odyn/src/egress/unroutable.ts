import { readFileSync } from 'node:fs';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { unlessOutOfDescriptors } from '../system/descriptors.ts';

/**
 * How often a program has tried to go out past us, which fails with ENETUNREACH: what the kernel counts as without a
 * route (`OutNoRoutes`), in IPv4 and IPv6, since the start of the machine. 0 where it does not say.
 */
export function countUnroutable(folder = '/proc/net'): number {
  return (
    countIn(`${folder}/snmp`, /^Ip: (.*OutNoRoutes.*)\nIp: (.*)$/m) +
    countIn(`${folder}/snmp6`, /^Ip6(OutNoRoutes)\s+(\d+)$/m)
  );
}

/** Tells in the log what found no route, one line at a time however much it is. The kernel does not say whose it was. */
export class UnroutableLog {
  readonly #log: OdynLog;
  readonly #folder: string | undefined;
  readonly #timer: NodeJS.Timeout;
  #told = 0;

  constructor(log: OdynLog, { everyMs = limits.unroutableLogMs, folder }: { everyMs?: number; folder?: string } = {}) {
    this.#log = log;
    this.#folder = folder;
    this.#timer = setInterval(() => this.#tell(), everyMs).unref();
  }

  /** Tells the last ones, and gives the count of all. */
  close(): number {
    clearInterval(this.#timer);
    this.#tell();
    return this.#told;
  }

  #tell(): void {
    const all = unlessOutOfDescriptors(() => countUnroutable(this.#folder));
    if (all === undefined || all === this.#told) return;
    const rule = 'no route: UDP, ICMP, and TCP that neither asks the proxy nor is transparent';
    this.#log.warn('egress refused', { rule, count: all - this.#told });
    this.#told = all;
  }
}

function countIn(path: string, lines: RegExp): number {
  const [, names = '', values = ''] = lines.exec(read(path)) ?? [];
  return Number(values.split(' ')[names.split(' ').indexOf('OutNoRoutes')] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // A kernel without IPv6 has no such file
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
