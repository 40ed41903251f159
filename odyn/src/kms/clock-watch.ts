import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';

/** Compares our clock with KMS's, whose answers carry theirs in `Date`, proven by TLS. */
export class ClockWatch {
  readonly #log: OdynLog;
  readonly #now: () => number;
  #reported = false;

  constructor(log: OdynLog, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * @param date the header of an answer that has just come
   * @returns in words by how much the clocks differ, when it is more than KMS bears or soon will be
   */
  compare(date: string | undefined): string | undefined {
    const theirs = date === undefined ? Number.NaN : Date.parse(date);
    const ahead = this.#now() - theirs;
    if (Number.isNaN(theirs) || Math.abs(ahead) < limits.kmsClockMs) {
      this.#reported = false;
      return undefined;
    }
    const words = describeSkew(ahead);
    if (!this.#reported) this.#log.warn('clock differs from that of KMS', { reason: words });
    this.#reported = true;
    return words;
  }
}

/** @param aheadMs of the enclave's clock, negative when it is behind */
function describeSkew(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return `the enclave's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of KMS`;
}
