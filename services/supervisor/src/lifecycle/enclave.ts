import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, EnclaveEvent, EnclaveRecord } from '@enclaver/bus';
import type { Eif } from '@enclaver/eif';
import { transportTo, type VsockTransport } from '@enclaver/vsock';
import type { Logger } from 'pino';
import type { Backend, Machine, MachineEnd } from '../backends/backend.ts';
import type { Limits } from '../limits.ts';
import { StoreServer } from '../store/store-server.ts';
import { SupervisorError } from '../supervisor-error.ts';
import { boot } from './boot.ts';
import { ConsoleTail } from './console-tail.ts';
import { Life, type LifeOptions } from './life.ts';
import { machineError } from './machine-error.ts';
import { StatusFollower } from './status-follower.ts';
import { Timers } from './timers.ts';
import { transition } from './transitions.ts';

export interface EnclaveTools {
  bus: Bus;
  backend: Backend;
  logger: Logger;
  /** The enclave's folder, private to this user. */
  folder: string;
  limits: Limits;
  planRestart: LifeOptions['planRestart'];
}

/** One enclave from its acceptance to its last trace: what happens to it goes into its life, and what follows is done here. */
export class Enclave {
  readonly life: Life;
  readonly #tools: EnclaveTools;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #status: StatusFollower;
  readonly #transport: VsockTransport;
  readonly #proxied = Promise.withResolvers<void>();
  readonly #logEnded = Promise.withResolvers<void>();
  readonly #timers = new Timers();
  #console: ConsoleTail | undefined;
  #machine: Machine | undefined;
  /** Settles with the start of a machine that is under way. */
  #launching: Promise<unknown> | undefined;
  #store: StoreServer | undefined;
  #launchesNoMore = false;
  #detached = false;
  /** Machines of boots that are tried again. */
  readonly #discarded = new Set<Machine>();

  constructor(record: EnclaveRecord, tools: EnclaveTools) {
    this.#tools = tools;
    this.#limits = tools.limits;
    this.#logger = tools.logger.child({ enclave: record.id });
    this.life = new Life(record, {
      bus: tools.bus,
      logger: this.#logger,
      consoleLines: () => this.#consoleLines,
      planRestart: tools.planRestart,
    });
    this.#transport = transportTo(record.vsock);
    this.#status = new StatusFollower(this.life, this.#transport, this.#limits, this.#logger);
  }

  get record(): EnclaveRecord {
    return this.life.record;
  }

  get id(): string {
    return this.life.record.id;
  }

  get #consoleLines(): string[] {
    return this.#console?.lines ?? [];
  }

  /** From `requested` to the end, its traces removed. An image that cannot be had ends it, too. */
  async run(image: Promise<Eif>): Promise<void> {
    this.life.begin();
    try {
      const eif = await image;
      this.#watchStart(this.record.startTimeoutMs);
      await this.#waitForProxy();
      if (this.record.state === 'launching') await this.#boot(eif);
      await this.life.over;
    } catch (error) {
      this.life.fail(error);
    }
    await this.#cleanUp();
  }

  /**
   * Goes on with an enclave that an earlier supervisor started; without `machine` it ended while nobody looked. One whose end was told
   * has its machine ended.
   */
  async resume(machine: Machine | undefined): Promise<void> {
    if (machine === undefined) {
      this.life.lose(new SupervisorError('SUPERVISOR_AWAY', 'the enclave ended while no supervisor was there'));
      await this.#endLate();
    } else if (this.life.ended) {
      this.#attach(machine);
    } else {
      this.#console = new ConsoleTail(this.#tools.bus, this.id);
      await this.#openStore();
      this.#attach(machine);
      if (this.record.state === 'stopping') this.#askToStop(this.#limits.graceMs);
      // Counted anew: how much of it had passed, only a clock that may have jumped would know
      this.#watchStart(this.record.startTimeoutMs);
      void this.#status.follow();
      await this.life.over;
    }
    await this.#cleanUp();
  }

  /** Starts no machine from now on, and waits for one that is being started, within bounds: the next supervisor finds one that runs. */
  async launchNoMore(): Promise<void> {
    this.#launchesNoMore = true;
    await Promise.race([this.#launching, sleep(this.#limits.launchLeftMs, undefined, { ref: false })]);
  }

  /** Lets go of an enclave that runs on without us, for the next supervisor to take up. */
  async detach(): Promise<void> {
    this.#detached = true;
    this.#timers.clearAll();
    this.#status.close();
    await this.#store?.close();
    await this.#console?.close();
    await this.life.written();
  }

  /** Asks the app to end; after the grace time it is made to. Asking again changes nothing. */
  stop(graceMs: number): void {
    if (!this.life.advance('stop', {}, { graceMs })) return;
    const { starting, ready } = this.record.times;
    // An earlier supervisor may have heard of an app that has not spoken to this one yet
    if (!this.#status.spoken && starting === undefined && ready === undefined) {
      this.life.fail(new SupervisorError('STOPPED', 'the enclave was stopped before its app ran'));
      return;
    }
    this.#askToStop(graceMs);
  }

  /** Also where an earlier supervisor may have asked: its request can have gone with it, and the app hears of one alone. */
  #askToStop(graceMs: number): void {
    this.#status.send({ command: 'stop', graceMs });
    this.#killAfter(graceMs + this.#limits.graceExtraMs);
  }

  /** What other services say about this enclave. */
  onEvent(event: EnclaveEvent): void {
    if (event.name === 'egress-ready') {
      this.life.advance('launch', { ingress: event.data.ingress });
      this.#proxied.resolve();
    } else if (event.name === 'proxy-failed' && this.record.state === 'requested') {
      this.life.advance('abort', { result: { kind: 'failed', error: event.data.error } });
      this.#proxied.resolve();
    } else if (event.name === 'log-ended') this.#logEnded.resolve();
  }

  async #waitForProxy(): Promise<void> {
    const { proxyMs } = this.#limits;
    const { bus } = this.#tools;
    let reconnects = bus.counts.reconnects;
    const onTime = (): void => {
      if (this.record.state !== 'requested') return;
      // Without a bus it cannot have heard of us, nor we of it
      if (!bus.isConnected || bus.counts.reconnects !== reconnects) {
        reconnects = bus.counts.reconnects;
        this.#timers.after(proxyMs, onTime);
        return;
      }
      const message = `the outer-proxy did not answer within ${proxyMs} ms`;
      const remedy = 'start it: `enclaver up` runs all services, `docker compose up outer-proxy` this one';
      this.life.fail(new SupervisorError('PROXY_SILENT', message, { remedy }));
    };
    this.#timers.after(proxyMs, onTime);
    await Promise.race([this.#proxied.promise, this.life.over]);
  }

  async #boot(eif: Eif): Promise<void> {
    this.#console = new ConsoleTail(this.#tools.bus, this.id);
    await this.#openStore();
    const booted = await boot({
      life: this.life,
      launch: () => {
        const launched = this.#launch(eif);
        this.#launching = launched.catch(() => undefined);
        return launched;
      },
      isOver: () => this.life.ended || this.#launchesNoMore,
      timers: this.#timers,
      limits: this.#limits,
      logger: this.#logger,
      consoleLines: () => this.#consoleLines,
      onDiscard: (machine) => this.#discarded.add(machine),
    });
    if (booted) void this.#status.follow();
  }

  /** What an earlier supervisor was starting may run only now. */
  async #endLate(): Promise<void> {
    const { backend, folder } = this.#tools;
    if (this.record.backend !== backend.name || this.record.times.launching === undefined) return;
    const machine = await backend.adoptLate(this.record, folder);
    await machine?.kill();
  }

  async #launch(eif: Eif): Promise<Machine> {
    const { backend, folder } = this.#tools;
    const { cpuCount, memoryMb, vsock, debug, eif: eifPath } = this.record;
    const machine = await backend.launch({ folder, eif, eifPath, cpuCount, memoryMb, vsock, debug });
    this.#attach(machine);
    return machine;
  }

  async #openStore(): Promise<void> {
    const owner = this.record.storeOwner;
    if (owner === undefined) return;
    const { bus, limits } = this.#tools;
    this.#store = await StoreServer.listen(this.#transport, { bus, owner, limits, logger: this.#logger });
  }

  #attach(machine: Machine): void {
    this.#machine = machine;
    if (machine.pid !== undefined && machine.pid !== this.record.pid) this.life.note({ pid: machine.pid });
    void machine.gone.then((end) => this.#machineGone(machine, end));
  }

  async #machineGone(machine: Machine, end: MachineEnd): Promise<void> {
    if (this.#detached || this.life.ended || this.#discarded.has(machine)) return;
    // The last status may have overtaken nothing but this news
    await Promise.race([this.#status.settled(), sleep(this.#limits.lastStatusMs)]);
    const kind = transition(this.record.state, 'machine-gone') === 'failed' ? 'failed' : 'lost';
    // What a kernel says last tells why; a machine that was killed says nothing
    if (kind === 'failed' || end.reason === 'reset') await sleep(this.#limits.consoleMs);
    const { code, message, remedy } = machineError(end, this.#consoleLines);
    const error = { code, message, ...(remedy === undefined ? {} : { remedy }) };
    this.life.advance('machine-gone', { result: { kind, error } });
  }

  #watchStart(timeoutMs: number | undefined): void {
    if (timeoutMs === undefined) return;
    const timer = this.#timers.after(timeoutMs, () => {
      if (this.record.state === 'stopping') return;
      const message = `the enclave was not ready ${timeoutMs} ms after it was asked for`;
      const remedy = 'see its log and console: enclaver logs -d; or give it longer: --start-timeout';
      this.life.fail(new SupervisorError('START_TIMEOUT', message, { remedy }));
    });
    void this.life.ready.then(() => this.#timers.clear(timer));
  }

  #killAfter(ms: number): void {
    this.#timers.after(ms, () => {
      this.#logger.warn({ afterMs: ms }, 'the app did not end: its machine is ended');
      const detail = `neither app nor enclave had ended ${ms} ms after they were asked to: the machine was ended`;
      this.life.advance('killed', { result: { kind: 'signaled', signal: 'SIGKILL', cause: 'grace-over', detail } });
    });
  }

  /** The end is on the bus; now the log is heard out, and then nothing is left behind. */
  async #cleanUp(): Promise<void> {
    this.#timers.clearAll();
    const machine = this.#machine;
    if (machine !== undefined) {
      const late = this.#timers.after(this.#limits.logMs, () => this.#logEnded.resolve());
      await Promise.race([this.#logEnded.promise, machine.gone]);
      this.#timers.clear(late);
      await machine.kill();
    }
    this.#status.close();
    await this.#store?.close();
    await this.#console?.close();
    await this.life.written();
    await rm(this.#tools.folder, { recursive: true, force: true });
  }
}
