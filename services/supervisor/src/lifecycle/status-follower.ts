import type { VsockTransport } from '@enclaver/vsock';
import { type ControlRequest, type EnclaveFigures, type EnclaveStatus, WireError } from '@enclaver/wire';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';
import { SupervisorError } from '../supervisor-error.ts';
import type { Life } from './life.ts';
import { Pace } from './pace.ts';
import { StatusLink } from './status-link.ts';

type RunningStatus = Extract<EnclaveStatus, { status: 'running' }>;

/** Turns what an enclave's status port says, or that it says nothing, into inputs of its life. */
export class StatusFollower {
  readonly #life: Life;
  readonly #limits: Limits;
  readonly #link: StatusLink;
  /** An enclave that changes without end shall not have the bus write and tell without end. */
  readonly #pace: Pace<RunningStatus>;
  #figuresFrom = 0;

  constructor(life: Life, transport: VsockTransport, limits: Limits, logger: Logger) {
    this.#life = life;
    this.#limits = limits;
    this.#link = new StatusLink(transport, limits, logger);
    const take = (status: RunningStatus): boolean => this.#onRunning(status);
    this.#pace = new Pace({ atOnce: limits.stepsAtOnce, everyMs: limits.stepMs, take });
  }

  /** Whether the inside has ever spoken: before that there is no app that could be asked to end. */
  get spoken(): boolean {
    return this.#link.spoken;
  }

  /** Follows to the end of the enclave. Never rejects but for a fault of ours. */
  async follow(): Promise<void> {
    try {
      const end = await this.#link.follow((status) => this.#onStatus(status));
      if (end === 'final' || end === 'closed' || this.#life.ended) return;
      const message = this.#describe(end);
      if (this.spoken) this.#life.lose(new SupervisorError('STATUS_SILENT', message));
      else this.#life.fail(new SupervisorError('BOOT_TIMEOUT', message));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      const message = `the enclave's status is not valid: ${error.message}`;
      this.#life.fail(new SupervisorError('STATUS_INVALID', message, { cause: error }));
    }
  }

  send(control: ControlRequest): void {
    this.#link.send(control);
  }

  /** Resolves when what the present connection still holds has been handled. */
  settled(): Promise<void> {
    return this.#link.settled();
  }

  close(): void {
    this.#link.close();
    this.#pace.close();
  }

  #describe(end: 'silent' | 'deaf'): string {
    const { statusMs, statusSilenceMs, statusProbes, statusAnswerMs } = this.#limits;
    return end === 'silent'
      ? `the enclave's status port was silent for ${this.spoken ? statusSilenceMs : statusMs} ms`
      : `the enclave's status port took no connection, or said nothing on it, ${statusProbes} times for ${statusAnswerMs} ms`;
  }

  async #onStatus(status: EnclaveStatus): Promise<void> {
    switch (status.status) {
      case 'exited': {
        const { status: kind, ...end } = status;
        this.#life.advance('app-ended', { result: { kind, ...end } });
        break;
      }
      case 'signaled': {
        const { status: kind, ...end } = status;
        this.#life.advance('app-ended', { result: { kind, ...end } });
        break;
      }
      case 'fatal':
        this.#life.advance('fatal', { result: { kind: 'fatal', error: status.error } });
        break;
      case 'running':
        if (status.figures !== undefined) this.#noteFigures(status.figures);
        this.#pace.offer(status);
    }
    await this.#life.written();
  }

  /** True when it is news. */
  #onRunning({ phase, reason = '', ...status }: RunningStatus): boolean {
    if (this.#life.ended) return false;
    const { clock = this.#life.record.clock } = status;
    const isNew = clock !== this.#life.record.clock;
    if (isNew) this.#life.note({ clock });
    if (phase === 'stopping') return isNew;
    const timings = status.timings === undefined ? {} : { timings: status.timings };
    // The original knows no phases: what runs counts as ready
    const input = phase === undefined ? 'app-ready' : (`app-${phase}` as const);
    return this.#life.advance(input, timings, { reason }) || isNew;
  }

  /** They come all the time, and none of them is news. */
  #noteFigures(figures: EnclaveFigures): void {
    const now = performance.now();
    if (now < this.#figuresFrom) return;
    this.#figuresFrom = now + this.#limits.figuresMs;
    this.#life.note({ figures });
  }
}
