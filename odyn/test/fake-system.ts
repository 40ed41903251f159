import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { Clock } from '../src/clock/clock.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import type { System } from '../src/system/system.ts';

export const START_MS = Date.UTC(2026, 5, 1);
const ROOT = DevelopmentRoot.create({ now: new Date(START_MS) });
const measurements = { PCR0: 'a0'.repeat(48), PCR1: 'b1'.repeat(48), PCR2: 'c2'.repeat(48) };

/** A machine whose clocks and kernel files are the test's; the NSM's clock is right. */
export class FakeSystem {
  readonly slewed: number[] = [];
  readonly words: string[] = [];
  /** By how much the wall clock is ahead of the NSM. */
  offsetMs = 0;
  elapsedMs = 0;
  /** Of each call to the NSM. */
  callMs = 0;
  failure: Error | undefined;
  result = 0;
  readonly folder: string;
  readonly system: System;
  readonly nsm: Nsm;

  private constructor(folder: string) {
    this.folder = folder;
    const at = (name: string) => join(folder, name);
    this.system = {
      random: at('random'),
      entropyAvailable: at('entropy_avail'),
      randomSource: at('rng_current'),
      clockSources: at('available_clocksource'),
      clockSource: at('current_clocksource'),
      wallMs: () => START_MS + this.elapsedMs + this.offsetMs,
      monotonicMs: () => this.elapsedMs,
      setClock: (microseconds) => {
        if (this.result === 0) this.offsetMs = microseconds / 1000 - START_MS - this.elapsedMs;
        return this.result;
      },
      slewClock: (microseconds) => {
        this.slewed.push(microseconds);
        return this.result;
      },
    };
    const simulator = new NsmSimulator({ root: ROOT, measurements, now: () => new Date(START_MS + this.elapsedMs) });
    this.nsm = new Nsm(async (request) => {
      if (this.failure !== undefined) throw this.failure;
      const answer = await simulator.request(request);
      this.elapsedMs += this.callMs;
      return answer;
    });
  }

  static async make(files: Record<string, string> = {}): Promise<FakeSystem> {
    const machine = new FakeSystem(await mkdtemp(join(tmpdir(), 'odyn-machine-')));
    const usual = { random: '', entropy_avail: '256\n', rng_current: 'nsm-hwrng\n' };
    const clocks = { available_clocksource: 'tsc kvm-clock acpi_pm \n', current_clocksource: 'tsc\n' };
    for (const [name, text] of Object.entries({ ...usual, ...clocks, ...files }))
      await writeFile(join(machine.folder, name), text);
    return machine;
  }

  /** After its first look. */
  async clock(sync: 'nsm' | 'none', nsm: Nsm | undefined = this.nsm): Promise<Clock> {
    const { system, words } = this;
    const clock = await Clock.start({ system, nsm, sync, log: log(), onWords: (text) => words.push(text) });
    await clock.check();
    return clock;
  }

  read(name: string): Promise<string> {
    return readFile(join(this.folder, name), 'utf8');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

export function log(): OdynLog {
  return new OdynLog(new LogRing(65_536));
}
