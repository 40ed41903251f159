import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from '../harness/compiled.ts';
import { summarize } from '../statistics.ts';
import { line, Processes, prioritize, REST_CPU, SHARED_CPU, scheduled } from './processes.ts';

/** As many as a busy client has. */
const CONNECTIONS = 8;
const ENDLESS = 1024 ** 4;
const RTT_SECONDS = 1;
/** Of the outer-proxy's processor time; it may take so long. */
const COUNTED_SECONDS = 0.25;
const COUNTED_MAX_MS = 10_000;
const SETTLE_MS = 400;
const FIRST_PORT = 22_000;
const SERVER_PORT = 22_100;
const HOSTILE_PORT = 22_200;
/** Priorities beside the outer-proxy: a hostile enclave has what the others leave. */
const [ALIKE, HOSTILE] = [-10, 10];

/** What the last enclave does instead of downloading like the others. */
export const kinds = ['downloads', 'manyDownloads', 'churn', 'egress'] as const;
export type Kind = (typeof kinds)[number];
export const named: Readonly<Record<Kind, string>> = {
  downloads: `${CONNECTIONS} downloads again`,
  manyDownloads: '1,000 downloads',
  churn: 'new connections, 64 at a time',
  egress: '10,000 egress connections, never read',
};

export interface Sample {
  /** Of one of the others, and of the last one: MB in a second of the outer-proxy's processor time. */
  readonly bulk: number;
  readonly last: number;
  /** Part of the relay's work that was for the last one. */
  readonly lastTime: number;
  /** Part of the time in which the outer-proxy did not want its CPU. */
  readonly idle: number;
  /** Of small requests while the others download, µs. */
  readonly p50: number;
  readonly p99: number;
}

/** What the others have when all are alike, and beside a hostile one. */
export interface Pair {
  readonly equal: Sample;
  readonly beside: Sample;
}

/** Enclaves that share an outer-proxy: for each a server, and clients of it. */
export class Neighbours implements Disposable {
  readonly #last: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'enclaver-fairness-'));
  readonly #processes = new Processes();
  readonly #servers: ChildProcess[] = [];
  readonly #load = compiled('relay/load.c');
  readonly #hostile = compiled('fairness/hostile.c');

  private constructor(enclaves: number) {
    this.#last = enclaves - 1;
  }

  static async of(enclaves: number): Promise<Neighbours> {
    const all = new Neighbours(enclaves);
    for (let index = 0; index < enclaves; index++) {
      const path = join(all.#folder, `server-${index}`);
      all.#servers.push(all.#processes.start(REST_CPU, ALIKE, all.#load, 'server', path, SERVER_PORT + index));
    }
    for (const server of all.#servers) await line(server);
    await line(all.#processes.start(REST_CPU, HOSTILE, all.#hostile, 'server', HOSTILE_PORT));
    return all;
  }

  /** One after the other with the same outer-proxy, since what the machine gives varies from minute to minute. */
  async measure(kind: Kind): Promise<Pair> {
    const program = join(import.meta.dirname, 'relay-process.ts');
    const command = [process.execPath, program, this.#folder, FIRST_PORT, this.#last + 1];
    const proxy = this.#processes.start(SHARED_CPU, 0, ...command);
    await line(proxy);
    const others = Array.from({ length: this.#last - 1 }, (_, index) => this.#downloads(index + 1));
    prioritize(this.#servers[this.#last], ALIKE);
    const like = this.#downloads(this.#last);
    const equal = await this.#sample(proxy);
    await this.#processes.end(like);
    if (kind !== 'downloads') prioritize(this.#servers[this.#last], HOSTILE);
    const unlike = await this.#begin(kind);
    const beside = await this.#sample(proxy);
    for (const child of [...others, unlike, proxy]) await this.#processes.end(child);
    return { equal, beside };
  }

  #downloads(index: number, nice = ALIKE, connections = CONNECTIONS): ChildProcess {
    return this.#processes.start(REST_CPU, nice, this.#load, 'down', FIRST_PORT + index, connections, ENDLESS);
  }

  async #begin(kind: Kind): Promise<ChildProcess> {
    if (kind === 'downloads') return this.#downloads(this.#last);
    if (kind === 'manyDownloads') return this.#downloads(this.#last, HOSTILE, 1000);
    const hostile = (...words: (string | number)[]): ChildProcess =>
      this.#processes.start(REST_CPU, HOSTILE, this.#hostile, ...words);
    if (kind === 'churn') return hostile('churn', FIRST_PORT + this.#last, 64);
    const child = hostile('egress', join(this.#folder, `enclave-${this.#last}_17002`), HOSTILE_PORT, 10_000);
    await line(child);
    return child;
  }

  async #sample(proxy: ChildProcess): Promise<Sample> {
    await sleep(SETTLE_MS);
    // It shall wait for the outer-proxy, not for the programs beside it
    const rtt = this.#processes.start(REST_CPU, -20, this.#load, 'rtt', FIRST_PORT, 1, RTT_SECONDS);
    const [p50 = NaN, p99 = NaN] = (await line(rtt)).split(' ').map(Number);
    const first = this.#downloads(0);
    const busy = this.#processes.keepBusy();
    await sleep(SETTLE_MS);
    const shares = await this.#count(proxy);
    await this.#processes.end(first);
    await this.#processes.end(busy);
    return { ...shares, p50, p99 };
  }

  async #count(proxy: ChildProcess): Promise<Omit<Sample, 'p50' | 'p99'>> {
    const counts = async (): Promise<{ bytes: number; seconds: number }[]> => {
      proxy.stdin?.write('\n');
      return JSON.parse(await line(proxy));
    };
    const begun = performance.now();
    const before = await counts();
    const from = scheduled(proxy);
    let to = from;
    while (to.ran - from.ran < COUNTED_SECONDS && performance.now() - begun < COUNTED_MAX_MS) {
      await sleep(50);
      to = scheduled(proxy);
    }
    const after = await counts();
    const wall = (performance.now() - begun) / 1000;
    const ran = to.ran - from.ran;
    const rates = after.map(({ bytes }, index) => (bytes - (before[index]?.bytes ?? 0)) / 1e6 / ran);
    const work = after.map(({ seconds }, index) => seconds - (before[index]?.seconds ?? 0));
    return {
      bulk: summarize(rates.slice(0, this.#last)).median,
      last: rates[this.#last] ?? Number.NaN,
      lastTime: (work[this.#last] ?? Number.NaN) / work.reduce((sum, seconds) => sum + seconds, 0),
      idle: Math.max(0, 1 - (ran + to.waited - from.waited) / wall),
    };
  }

  [Symbol.dispose](): void {
    this.#processes[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
