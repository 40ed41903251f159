import {
  type Bus,
  type EnclaveRecord,
  type EnclaveResult,
  type EnclaveState,
  hasEnded,
  type PlannedRestart,
  toErrorData,
} from '@enclaver/bus';
import type { Logger } from 'pino';
import { Journal } from './journal.ts';
import { type Input, transition } from './transitions.ts';

/** What a step may change beside the state. */
export type Patch = Partial<Pick<EnclaveRecord, 'ingress' | 'result' | 'timings'>>;

/** What a step's event tells and the record does not keep. */
export interface StepDetails {
  graceMs?: number;
  reason?: string;
}

export interface LifeOptions {
  bus: Bus;
  logger: Logger;
  /** The last lines of the console, for a post-mortem. */
  consoleLines: () => string[];
  /** What shall follow an enclave that has ended so, after having been ready for so long. */
  planRestart: (ended: EnclaveRecord, wellMs: number) => PlannedRestart | undefined;
}

/** The record of one enclave: each input goes through the table of transitions, and each step is written to the bus. */
export class Life {
  readonly #options: LifeOptions;
  readonly #journal: Journal;
  readonly #over = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  #record: EnclaveRecord;
  #readySince: number | undefined;

  constructor(record: EnclaveRecord, options: LifeOptions) {
    this.#record = record;
    this.#options = options;
    this.#journal = new Journal(options.bus, options.logger);
    this.#resolve();
  }

  get record(): EnclaveRecord {
    return this.#record;
  }

  get ended(): boolean {
    return hasEnded(this.#record.state);
  }

  /** Resolves at the end. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Resolves when the app has been ready for the first time. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves once what has happened so far is stored on the bus. */
  written(): Promise<void> {
    return this.#journal.written();
  }

  /** Tells of an enclave that was accepted. */
  begin(): void {
    this.#journal.write(this.#record, 'requested', { enclave: this.#record });
  }

  /** False when the input changes nothing in the present state. */
  advance(input: Input, patch: Patch = {}, details: StepDetails = {}): boolean {
    const next = transition(this.#record.state, input);
    if (next === undefined) return false;
    this.#step(next, patch, details);
    return true;
  }

  /** An end without an app: it never ran, or it cannot be talked to. */
  fail(error: unknown): void {
    this.#options.logger.error({ err: error }, 'enclave failed');
    this.advance('abort', { result: { kind: 'failed', error: toErrorData(error) } });
  }

  /** An end that nobody saw. */
  lose(error: unknown): void {
    this.advance('unseen', { result: { kind: 'lost', error: toErrorData(error) } });
  }

  /** Takes the restart back that the end announced. */
  cancelRestart(): void {
    const { next, ...record } = this.#record;
    if (next === undefined) return;
    this.#record = record;
    this.#journal.write(record, 'restart-cancelled', { restart: next });
  }

  /** What is new about an enclave whose state stays; `undefined` takes a field away. */
  note(patch: { [Name in keyof EnclaveRecord]?: EnclaveRecord[Name] | undefined }): void {
    this.#record = { ...this.#record, ...patch } as EnclaveRecord;
    this.#journal.write(this.#record);
  }

  #step(state: EnclaveState, patch: Patch, { graceMs = 0, reason = '' }: StepDetails = {}): void {
    const times = { ...this.#record.times, [state]: new Date().toISOString() };
    const { reason: _, ...before } = this.#record;
    const stepped = { ...before, ...patch, state, times, ...(state === 'unhealthy' ? { reason } : {}) };
    const wellMs = this.#readySince === undefined ? 0 : performance.now() - this.#readySince;
    const next = hasEnded(state) ? this.#options.planRestart(stepped, wellMs) : undefined;
    this.#record = next === undefined ? stepped : { ...stepped, next };
    this.#options.logger.info({ state, result: stepped.result, next }, 'enclave changes');
    this.#tell(state, { graceMs, reason });
    this.#resolve();
  }

  #tell(state: EnclaveState, { graceMs, reason }: Required<StepDetails>): void {
    const record = this.#record;
    const timings = record.timings === undefined ? {} : { timings: record.timings };
    const restart = record.next === undefined ? {} : { restart: record.next };
    const end = { result: record.result as EnclaveResult, ...restart };
    switch (state) {
      case 'requested':
        break;
      case 'launching':
        this.#journal.write(record, state, { enclave: record });
        break;
      case 'booting':
        this.#journal.write(record, state, {});
        break;
      case 'starting':
        this.#journal.write(record, state, timings);
        break;
      case 'ready':
        this.#journal.write(record, state, { ...timings, ingress: record.ingress });
        break;
      case 'unhealthy':
        this.#journal.write(record, state, { reason });
        break;
      case 'stopping':
        this.#journal.write(record, state, { graceMs });
        break;
      case 'exited':
        this.#journal.write(record, state, end);
        break;
      case 'failed':
      case 'lost':
        this.#journal.write(record, state, { ...end, console: this.#options.consoleLines() });
        break;
    }
  }

  #resolve(): void {
    if (this.#record.times.ready !== undefined) {
      this.#readySince ??= performance.now();
      this.#ready.resolve();
    }
    if (this.ended) this.#over.resolve();
  }
}
