import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorMessage } from 'node:util';
import { type Nsm, NsmError } from '@enclaver/attestation/nsm';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { OdynError } from '../odyn-error.ts';
import type { System } from '../system/system.ts';
import { chooseClockSource } from './clock-source.ts';

export interface ClockOptions {
  readonly system: System;
  /** Whose time the clock is held against; without it only jumps are seen. */
  readonly nsm?: Nsm | undefined;
  /** `nsm`: the clock follows the NSM. `none`: it is only watched. */
  readonly sync: 'nsm' | 'none';
  readonly log: OdynLog;
  /** Told how the clock is, in words, when that changes. */
  readonly onWords: (words: string) => void;
}

/** What a comparison with the NSM gives: by how much the clock is ahead of it, give or take. */
interface Offset {
  readonly ms: number;
  readonly uncertaintyMs: number;
}

/**
 * Watches the wall clock: against the NSM, whose time the parent cannot change, and against the monotonic clock, for jumps.
 * docs/clock.md has the reasons and bounds.
 */
export class Clock {
  readonly #options: ClockOptions;
  readonly #source: string;
  /** Wall clock minus monotonic clock. */
  #base: number;
  #words = '';

  private constructor(options: ClockOptions, source: string) {
    this.#options = options;
    this.#source = source;
    this.#base = this.#difference();
  }

  /**
   * Chooses the clock source and, with `sync: nsm`, sets a clock that is off: nothing has seen the time yet.
   * @throws OdynError CLOCK_SOURCE, CLOCK_SET; NsmError with `sync: nsm`
   */
  static async start(options: ClockOptions): Promise<Clock> {
    const clock = new Clock(options, chooseClockSource(options.system));
    if (options.sync === 'nsm') await clock.#setAtBoot();
    return clock;
  }

  /** Checks now and then, until `signal`; the app does not wait for it. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.check();
      await sleep(limits.clockCheckMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One look at the clock; with `sync: nsm` it is led back where it has drifted. */
  async check(): Promise<void> {
    this.#lookForJump();
    const offset = await this.#offset();
    if (offset === undefined) {
      this.#say('no time to compare it with');
      return;
    }
    if (isGood(offset)) {
      const withinMs = limits.clockToleranceMs + offset.uncertaintyMs;
      this.#say(`within ${Math.round(withinMs / 1000)} s of the NSM`);
      return;
    }
    const { log, sync } = this.#options;
    const ms = Math.round(offset.ms);
    log.warn('the clock differs from the NSM', { offsetMs: ms, uncertaintyMs: Math.ceil(offset.uncertaintyMs) });
    const difference = `${Math.round(Math.abs(ms) / 1000)} s ${ms > 0 ? 'ahead of' : 'behind'} the NSM`;
    if (sync === 'none') this.#say(difference);
    else this.#say(`${difference}, ${this.#lead(-ms) ? 'being led back' : 'and not led back'}`);
  }

  #lookForJump(): void {
    const difference = this.#difference();
    const ms = Math.round(difference - this.#base);
    this.#base = difference;
    if (Math.abs(ms) >= limits.clockJumpMs) this.#options.log.warn('the wall clock jumped', { ms });
  }

  async #setAtBoot(): Promise<void> {
    const { nsm, system, log } = this.#options;
    if (nsm === undefined) throw new TypeError('a clock that follows the NSM has none');
    const before = system.wallMs();
    const offset = await this.#compare(nsm);
    if (isGood(offset)) return;
    const { ms } = offset;
    const result = system.setClock(Math.round((system.wallMs() - ms) * 1000));
    if (result < 0) throw new OdynError('CLOCK_SET', `the clock cannot be set: ${getSystemErrorMessage(result)}`);
    this.#base = this.#difference();
    log.info('the clock was set by the NSM', { offsetMs: Math.round(ms), before: new Date(before).toISOString() });
  }

  /** Undefined where there is no NSM, or it gives no answer: the app goes on without. */
  async #offset(): Promise<Offset | undefined> {
    const { nsm, log } = this.#options;
    if (nsm === undefined) return undefined;
    try {
      return await this.#compare(nsm);
    } catch (error) {
      if (!(error instanceof NsmError)) throw error;
      log.warn('the NSM gave no time', { code: error.code, reason: error.message });
      return undefined;
    }
  }

  /** The document was made at some instant of the call. */
  async #compare(nsm: Nsm): Promise<Offset> {
    const { system } = this.#options;
    const asked = system.monotonicMs();
    const time = (await nsm.time()).getTime();
    const tookMs = system.monotonicMs() - asked;
    return { ms: system.wallMs() - tookMs / 2 - time, uncertaintyMs: tookMs / 2 };
  }

  #difference(): number {
    const { system } = this.#options;
    return system.wallMs() - system.monotonicMs();
  }

  /** Whether the kernel now leads the clock forward by so much, or back. */
  #lead(ms: number): boolean {
    if (Math.abs(ms) > limits.clockFollowMs) return false;
    const result = this.#options.system.slewClock(ms * 1000);
    if (result < 0) this.#options.log.error('the clock cannot be led', { reason: getSystemErrorMessage(result) });
    return result >= 0;
  }

  #say(comparison: string): void {
    const words = `${this.#source}, ${comparison}`;
    if (words === this.#words) return;
    this.#words = words;
    this.#options.log.info('clock', { state: words });
    this.#options.onWords(words);
  }
}

function isGood({ ms, uncertaintyMs }: Offset): boolean {
  return Math.abs(ms) - uncertaintyMs <= limits.clockToleranceMs;
}
