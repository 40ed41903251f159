import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Bus,
  type EnclaveEvent,
  type EnclaveRecord,
  type EnclaveResult,
  type EnclaveState,
  hasEnded,
  type PublishedPort,
  toErrorData,
} from '@enclaver/bus';
import { transportTo, type VsockTransport } from '@enclaver/vsock';
import { type EnclaveStatus, WireError } from '@enclaver/wire';
import type { Logger } from 'pino';
import type { Backend, LaunchRequest, Machine, MachineEnd } from '../backends/backend.ts';
import type { Limits } from '../limits.ts';
import { StoreServer } from '../store/store-server.ts';
import { SupervisorError } from '../supervisor-error.ts';
import { ConsoleTail, panicOf } from './console-tail.ts';
import { Journal } from './journal.ts';
import { StatusLink } from './status-link.ts';
import { type Input, transition } from './transitions.ts';

export interface EnclaveTools {
  bus: Bus;
  backend: Backend;
  logger: Logger;
  /** The enclave's folder, private to this user. */
  folder: string;
  limits: Limits;
}

/** One enclave: what happens to it becomes an input to the table of transitions, and what follows is done here. */
export class Enclave {
  readonly #tools: EnclaveTools;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #journal: Journal;
  readonly #status: StatusLink;
  readonly #transport: VsockTransport;
  readonly #proxied = Promise.withResolvers<void>();
  readonly #logEnded = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #record: EnclaveRecord;
  #console: ConsoleTail | undefined;
  #machine: Machine | undefined;
  #store: StoreServer | undefined;
  #detached = false;
  /** Machines of boots that are tried again: their end is no news. */
  readonly #discarded = new Set<Machine>();

  constructor(record: EnclaveRecord, tools: EnclaveTools) {
    this.#record = record;
    this.#tools = tools;
    this.#limits = tools.limits;
    this.#logger = tools.logger.child({ enclave: record.id });
    this.#journal = new Journal(tools.bus, this.#logger);
    this.#transport = transportTo(record.vsock);
    this.#status = new StatusLink(this.#transport, this.#limits, this.#logger);
  }

  get record(): EnclaveRecord {
    return this.#record;
  }

  /** Resolves once what has happened so far is stored on the bus. */
  stored(): Promise<void> {
    return this.#journal.written();
  }

  /** From `requested` to the end, its traces removed. */
  async run(image: Pick<LaunchRequest, 'eif'>): Promise<void> {
    this.#journal.write(this.#record, 'requested', { enclave: this.#record });
    try {
      await this.#waitForProxy();
      if (this.#record.state === 'launching') await this.#boot(image);
      await this.#over.promise;
    } catch (error) {
      this.#fail(error);
    }
    await this.#cleanUp();
  }

  /** Goes on with an enclave that an earlier supervisor started; without `machine` it ended while nobody looked. */
  async resume(machine: Machine | undefined): Promise<void> {
    if (machine === undefined) {
      const message = 'the enclave ended while no supervisor was there';
      const error = toErrorData(new SupervisorError('SUPERVISOR_AWAY', message));
      this.#advanceTo('lost', { result: { kind: 'lost', error } });
    } else {
      this.#console = new ConsoleTail(this.#tools.bus, this.#record.id);
      await this.#openStore();
      this.#attach(machine);
      if (this.#record.state === 'stopping') this.#killAfter(this.#limits.graceMs + this.#limits.graceExtraMs);
      void this.#followStatus();
      await this.#over.promise;
    }
    await this.#cleanUp();
  }

  /** Lets go of an enclave that runs on without us, for the next supervisor to take up. */
  async detach(): Promise<void> {
    this.#detached = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#status.close();
    await this.#store?.close();
    await this.#console?.close();
    await this.#journal.written();
  }

  /** Asks the app to end; after the grace time it is made to. Asking again changes nothing. */
  stop(graceMs: number): void {
    if (!this.#advance('stop', {}, { graceMs })) return;
    if (!this.#status.spoken) {
      this.#fail(new SupervisorError('STOPPED', 'the enclave was stopped before its app ran'));
      return;
    }
    this.#status.send({ command: 'stop', graceMs });
    this.#killAfter(graceMs + this.#limits.graceExtraMs);
  }

  /** What other services say about this enclave. */
  onEvent(event: EnclaveEvent): void {
    if (event.name === 'egress-ready') this.#onProxyReady(event.data.ingress);
    else if (event.name === 'proxy-failed' && this.#record.state === 'requested') {
      this.#advance('abort', { result: { kind: 'failed', error: event.data.error } });
      this.#proxied.resolve();
    } else if (event.name === 'log-ended') this.#logEnded.resolve();
  }

  #onProxyReady(ingress: PublishedPort[]): void {
    this.#advance('launch', { ingress });
    this.#proxied.resolve();
  }

  async #waitForProxy(): Promise<void> {
    const timeout = this.#timer(this.#limits.proxyMs, () => {
      if (this.#record.state !== 'requested') return;
      const message = `the outer-proxy did not answer within ${this.#limits.proxyMs} ms`;
      const remedy = 'start it: `enclaver up` runs all services, `docker compose up outer-proxy` this one';
      this.#fail(new SupervisorError('PROXY_SILENT', message, { remedy }));
    });
    await Promise.race([this.#proxied.promise, this.#over.promise]);
    clearTimeout(timeout);
  }

  async #boot({ eif }: Pick<LaunchRequest, 'eif'>): Promise<void> {
    const { cpuCount, memoryMb, vsock, debug } = this.#record;
    this.#console = new ConsoleTail(this.#tools.bus, this.#record.id);
    await this.#openStore();
    for (let boot = 1; boot <= this.#limits.boots && !hasEnded(this.#record.state); boot += 1) {
      const machine = await this.#tools.backend.launch({
        folder: this.#tools.folder,
        eif,
        cpuCount,
        memoryMb,
        vsock,
        debug,
      });
      this.#attach(machine);
      if (await this.#beats(machine.booted)) {
        if (this.#advance('booted')) this.#logger.info({ boot }, 'enclave booted');
        void this.#followStatus();
        return;
      }
      if (hasEnded(this.#record.state)) return;
      this.#logger.warn({ boot, console: this.#console.lines }, 'no sign of life: the machine is ended');
      this.#discarded.add(machine);
      await machine.kill();
    }
    const message = `the enclave's kernel gave no sign of life within ${this.#limits.heartbeatMs} ms, ${this.#limits.boots} times`;
    this.#fail(new SupervisorError('BOOT_TIMEOUT', message));
  }

  async #openStore(): Promise<void> {
    const owner = this.#record.storeOwner;
    if (owner === undefined) return;
    const { bus, limits } = this.#tools;
    this.#store = await StoreServer.listen(this.#transport, { bus, owner, limits, logger: this.#logger });
  }

  /** True when init has reported, false when the machine or the enclave is gone or time is up. */
  async #beats(booted: Promise<void>): Promise<boolean> {
    const late = Promise.withResolvers<false>();
    const timer = this.#timer(this.#limits.heartbeatMs, () => late.resolve(false));
    const over = this.#over.promise.then(() => false as const);
    const beats = await Promise.race([booted.then(() => true as const), over, late.promise]);
    clearTimeout(timer);
    return beats;
  }

  #attach(machine: Machine): void {
    this.#machine = machine;
    if (machine.pid !== undefined && machine.pid !== this.#record.pid) this.#note({ pid: machine.pid });
    void machine.gone.then((end) => this.#machineGone(machine, end));
  }

  /** What is new about an enclave whose state stays. */
  #note(patch: Partial<Pick<EnclaveRecord, 'clock' | 'pid'>>): void {
    this.#record = { ...this.#record, ...patch };
    this.#journal.write(this.#record);
  }

  async #machineGone(machine: Machine, end: MachineEnd): Promise<void> {
    if (this.#detached || hasEnded(this.#record.state) || this.#discarded.has(machine)) return;
    // The last status may have overtaken nothing but this news
    await Promise.race([this.#status.settled(), sleep(this.#limits.lastStatusMs)]);
    const kind = transition(this.#record.state, 'machine-gone') === 'failed' ? 'failed' : 'lost';
    // What a kernel says last tells why; a machine that was killed says nothing
    if (kind === 'failed' || end.reason === 'reset') await sleep(this.#limits.consoleMs);
    this.#advance('machine-gone', { result: { kind, error: toErrorData(this.#machineError(end)) } });
  }

  #machineError({ detail }: MachineEnd): SupervisorError {
    const panic = panicOf(this.#console?.lines ?? []);
    if (panic === undefined) return new SupervisorError('MACHINE_ENDED', detail);
    return new SupervisorError('KERNEL_PANIC', `the enclave's kernel panicked: ${panic}`, {
      remedy: /memory|oom/i.test(panic)
        ? 'give the enclave more memory: --memory-mb, or defaults.memory_mb in the manifest'
        : 'the last lines of its console are in the event',
    });
  }

  async #followStatus(): Promise<void> {
    try {
      if (await this.#status.follow((status) => this.#onStatus(status))) return;
      if (this.#detached || hasEnded(this.#record.state)) return;
      const waited = this.#status.spoken ? this.#limits.statusSilenceMs : this.#limits.statusMs;
      const code = this.#status.spoken ? 'STATUS_SILENT' : 'BOOT_TIMEOUT';
      const error = new SupervisorError(code, `the enclave's status port was silent for ${waited} ms`);
      if (this.#status.spoken) this.#advanceTo('lost', { result: { kind: 'lost', error: toErrorData(error) } });
      else this.#fail(error);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(
        new SupervisorError('STATUS_INVALID', `the enclave's status is not valid: ${error.message}`, { cause: error }),
      );
    }
  }

  async #onStatus(status: EnclaveStatus): Promise<void> {
    switch (status.status) {
      case 'exited': {
        const { status: kind, ...end } = status;
        this.#advance('app-ended', { result: { kind, ...end } });
        break;
      }
      case 'signaled': {
        const { status: kind, ...end } = status;
        this.#advance('app-ended', { result: { kind, ...end } });
        break;
      }
      case 'fatal':
        this.#advance('fatal', { result: { kind: 'fatal', error: status.error } });
        break;
      case 'running': {
        if (status.clock !== undefined && status.clock !== this.#record.clock) this.#note({ clock: status.clock });
        const timings = status.timings === undefined ? {} : { timings: status.timings };
        if (status.phase === 'starting') this.#advance('app-starting', timings);
        else if (status.phase === 'unhealthy') this.#advance('app-unhealthy', timings, { reason: status.reason ?? '' });
        // The original knows no phases: what runs counts as ready
        else if (status.phase !== 'stopping') this.#advance('app-ready', timings);
      }
    }
    await this.#journal.written();
  }

  #killAfter(ms: number): void {
    this.#timer(ms, () => {
      this.#logger.warn({ afterMs: ms }, 'the app did not end: its machine is ended');
      const detail = `neither app nor enclave had ended ${ms} ms after they were asked to: the machine was ended`;
      this.#advance('killed', { result: { kind: 'signaled', signal: 'SIGKILL', cause: 'grace-over', detail } });
    });
  }

  /** An end without an app: it never ran, or it cannot be talked to. */
  #fail(error: unknown): void {
    this.#logger.error({ err: error }, 'enclave failed');
    if (!hasEnded(this.#record.state)) {
      this.#advanceTo('failed', { result: { kind: 'failed', error: toErrorData(error) } });
    }
  }

  #advance(
    input: Input,
    patch: Partial<Pick<EnclaveRecord, 'ingress' | 'result' | 'timings'>> = {},
    details: { graceMs?: number; reason?: string } = {},
  ): boolean {
    const next = transition(this.#record.state, input);
    if (next === undefined) return false;
    this.#advanceTo(next, patch, details);
    return true;
  }

  #advanceTo(
    state: EnclaveState,
    patch: Partial<Pick<EnclaveRecord, 'ingress' | 'result' | 'timings'>>,
    { graceMs = 0, reason = '' }: { graceMs?: number; reason?: string } = {},
  ): void {
    const times = { ...this.#record.times, [state]: new Date().toISOString() };
    const { reason: _, ...before } = this.#record;
    this.#record = { ...before, ...patch, state, times, ...(state === 'unhealthy' ? { reason } : {}) };
    const record = this.#record;
    const timings = record.timings === undefined ? {} : { timings: record.timings };
    const result = record.result as EnclaveResult;
    const console = this.#console?.lines ?? [];
    this.#logger.info({ state, result: record.result }, 'enclave changes');
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
        this.#journal.write(record, state, { result });
        break;
      case 'failed':
      case 'lost':
        this.#journal.write(record, state, { result, console });
        break;
    }
    if (hasEnded(state)) this.#over.resolve();
  }

  /** The end is on the bus; now the log is heard out, and then nothing is left behind. */
  async #cleanUp(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    const machine = this.#machine;
    if (machine !== undefined) {
      const late = this.#timer(this.#limits.logMs, () => this.#logEnded.resolve());
      await Promise.race([this.#logEnded.promise, machine.gone]);
      clearTimeout(late);
      await machine.kill();
    }
    this.#status.close();
    await this.#store?.close();
    await this.#console?.close();
    await this.#journal.written();
    await rm(this.#tools.folder, { recursive: true, force: true });
  }

  #timer(ms: number, onTime: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      onTime();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }
}
