import { type BootTimings, type EnclaveFigures, type EnclaveStatus, isFinal } from '@enclaver/wire';
import { type BootTimes, bootNowMs } from '../bootstrap/boot-clock.ts';
import type { AppEnd, Events } from '../events.ts';

/** The enclave's state, made from what happens inside. */
export class StatusBoard {
  #current: EnclaveStatus;
  #timings: BootTimings;
  #clock: string | undefined;
  #figures: EnclaveFigures | undefined;
  #onChange: (status: EnclaveStatus) => void = () => {};

  constructor(events: Events, boot: BootTimes) {
    this.#timings = { ...boot, startingMs: bootNowMs() };
    this.#current = this.#running('starting');
    events.on('ready', () => {
      this.#timings = { readyMs: bootNowMs(), ...this.#timings };
      this.#set(this.#running('ready'));
    });
    events.on('unhealthy', ({ reason }) => this.#set({ ...this.#running('unhealthy'), reason }));
    events.on('clock', ({ words }) => {
      this.#clock = words;
      if (this.#current.status === 'running') this.#set({ ...this.#current, clock: words });
    });
    events.on('figures', (figures) => {
      this.#figures = figures;
      if (this.#current.status === 'running') this.#set({ ...this.#current, figures });
    });
    events.on('stopping', () => this.#set(this.#running('stopping')));
    events.on('exited', (end) => this.#set(finalStatus(end)));
    events.on('failed', ({ error }) => this.#set({ status: 'fatal', error }));
  }

  get current(): EnclaveStatus {
    return this.#current;
  }

  set onChange(listener: (status: EnclaveStatus) => void) {
    this.#onChange = listener;
  }

  #running(phase: 'starting' | 'ready' | 'unhealthy' | 'stopping') {
    const clock = this.#clock === undefined ? {} : { clock: this.#clock };
    const figures = this.#figures === undefined ? {} : { figures: this.#figures };
    return { status: 'running', phase, timings: this.#timings, ...clock, ...figures } as const;
  }

  #set(status: EnclaveStatus): void {
    // A stop may be asked for while readers are waited for
    if (isFinal(this.#current)) return;
    this.#current = status;
    this.#onChange(status);
  }
}

function finalStatus(end: AppEnd): EnclaveStatus {
  return 'code' in end ? { status: 'exited', ...end } : { status: 'signaled', ...end };
}
