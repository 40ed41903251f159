import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Bus,
  type EnclaveEvent,
  type EnclaveEventName,
  type EnclaveRecord,
  type OperationRequest,
} from '@enclaver/bus';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { type Limits, limits } from '../src/limits.ts';
import { Supervisor } from '../src/supervisor.ts';
import { FakeBackend, type FakeMachine } from './fake-backend.ts';
import { writeSmallImage } from './small-image.ts';

export const timings = { initMs: 1, odynMs: 2, startingMs: 3, readyMs: 4 };

/** What the outer-proxy of a test answers. */
export interface ProxyAnswers {
  /** To `requested`. */
  open: 'ready' | 'failed' | 'silent';
  /** To `handover`. */
  handover: 'done' | 'undrained' | 'failed' | 'silent';
}

type Named<N extends EnclaveEventName> = Extract<EnclaveEvent, { name: N }>;

/** A host for a test file: a real bus, a supervisor on the fake backend, and stand-ins for outer-proxy and log-relay. */
export class TestHost {
  nats!: NatsProcess;
  bus!: Bus;
  folder = '';
  eif = '';
  backend = new FakeBackend();
  supervisor!: Supervisor;
  proxy: ProxyAnswers = { open: 'ready', handover: 'done' };
  /** All events so far, for the tests to look at. */
  seen: EnclaveEvent[] = [];
  /** A port that is asked for as this number is free. */
  readonly freePort = 1234;
  #events!: ReturnType<Bus['events']>;
  #wake = Promise.withResolvers<void>();

  /** Registers what mocha calls. `storeDir`: a folder for what the bus keeps, once it is there. */
  static use(storeDir: () => Promise<string | undefined> = async () => undefined): TestHost {
    const host = new TestHost();
    before(async () => {
      const folder = await storeDir();
      host.nats = await NatsProcess.start(folder === undefined ? {} : { storeDir: folder });
      host.bus = await Bus.connect({ source: 'test', credentials: host.nats.credentials });
    });
    after(async () => {
      await host.bus.close();
      await host.nats[Symbol.asyncDispose]();
    });
    beforeEach(() => host.#begin());
    afterEach(() => host.#end());
    return host;
  }

  async #begin(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'enclaver-supervisor-'));
    this.eif = join(this.folder, 'hello.eif');
    await writeSmallImage(this.eif);
    this.backend = new FakeBackend();
    this.proxy = { open: 'ready', handover: 'done' };
    this.seen = [];
    this.#events = this.bus.events();
    await this.#events.ready;
    void this.#otherServices();
    this.supervisor = await this.start();
  }

  async #end(): Promise<void> {
    await this.supervisor.close();
    for (const machine of this.backend.machines) await machine.die();
    await this.#events.close();
    for (const { id } of await this.bus.enclaves.list()) await this.bus.enclaves.remove(id);
    await rm(this.folder, { recursive: true });
  }

  /** A supervisor with other bounds. */
  async start(changed: Partial<Limits> = {}): Promise<Supervisor> {
    const made = new Supervisor({
      bus: this.bus,
      backend: this.backend,
      logger: pino({ level: 'silent' }),
      runDir: join(this.folder, 'run'),
      stopOnExit: false,
      limits: { ...limits, ...changed },
    });
    await made.start();
    return made;
  }

  async restart(changed: Partial<Limits> = {}): Promise<void> {
    await this.supervisor.close();
    this.supervisor = await this.start(changed);
  }

  async #otherServices(): Promise<void> {
    for await (const event of this.#events) {
      this.seen.push(event);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
      await this.#answer(event);
    }
  }

  async #answer(event: EnclaveEvent): Promise<void> {
    const { id, name, data } = event;
    if (name === 'requested' && this.proxy.open === 'ready') {
      const ingress = data.enclave.ingress.map((port) => ({ ...port, port: this.freePort }));
      await this.bus.publishEvent(id, 'egress-ready', { ingress });
    }
    if (name === 'requested' && this.proxy.open === 'failed')
      await this.bus.publishEvent(id, 'proxy-failed', { error: { code: 'PORT_IN_USE', message: 'taken' } });
    if (name === 'handover' && (this.proxy.handover === 'done' || this.proxy.handover === 'undrained')) {
      await this.bus.publishEvent(id, 'handed-over', data);
      if (this.proxy.handover === 'done') await this.bus.publishEvent(id, 'drained', { from: data.from, to: data.to });
    }
    if (name === 'handover' && this.proxy.handover === 'failed') {
      const error = { code: 'LISTEN_FAILED', message: 'no way' };
      await this.bus.publishEvent(id, 'handover-failed', { from: data.from, to: data.to, error });
    }
    if (name === 'exited' || name === 'failed') await this.bus.publishEvent(id, 'log-ended', { lines: 0, lost: 0 });
  }

  /** The first event of that name that was or will be seen, of that enclave where one is named. */
  async until<N extends EnclaveEventName>(name: N, id?: string): Promise<Named<N>> {
    for (;;) {
      const found = this.seen.find((event) => event.name === name && (id === undefined || event.id === id));
      if (found !== undefined) return found as Named<N>;
      await this.#wake.promise;
    }
  }

  names(id?: string): string[] {
    const events = this.seen.filter((event) => id === undefined || event.id === id);
    return events.map(({ name }) => name).filter((name) => name !== 'log-ended');
  }

  async run(more: Partial<OperationRequest<'supervisor', 'run'>> = {}): Promise<EnclaveRecord> {
    return (await this.supervisor.handlers.run({ eif: this.eif, ...more })).enclave;
  }

  get machine(): FakeMachine {
    return this.backend.machines.at(-1) as FakeMachine;
  }

  /** Machines that are started from now on boot to this phase by themselves. */
  bootTo(phase: 'starting' | 'ready'): void {
    this.backend.onLaunch = (launched) => {
      launched.boots();
      launched.say({ status: 'running', phase, timings });
    };
  }

  async runTo(
    phase: 'starting' | 'ready',
    more: Partial<OperationRequest<'supervisor', 'run'>> = {},
  ): Promise<EnclaveRecord> {
    this.bootTo('starting');
    const record = await this.run(more);
    await this.until('starting', record.id);
    if (phase === 'ready') {
      this.machine.say({ status: 'running', phase: 'ready', timings });
      await this.until('ready', record.id);
    }
    return record;
  }

  /** The record, once it is as the test wants it. */
  async record(id: string, isSo: (record: EnclaveRecord) => boolean): Promise<EnclaveRecord> {
    for (;;) {
      const record = await this.bus.enclaves.get(id);
      if (record !== undefined && isSo(record)) return record;
      await sleep(5);
    }
  }

  /** Resolves when nothing of an enclave is left. */
  async gone(id: string): Promise<void> {
    const isThere = (): Promise<boolean> =>
      access(join(this.folder, 'run', id)).then(
        () => true,
        () => false,
      );
    while (await isThere()) await sleep(5);
  }
}
