import { mkdir } from 'node:fs/promises';
import {
  type Bus,
  type EnclaveRecord,
  exitCodeOf,
  hasEnded,
  isPresent,
  type OperationHandlers,
  type OperationRequest,
} from '@enclaver/bus';
import type { Logger } from 'pino';
import { Admission, type Unplaced } from './admission/admission.ts';
import type { Backend } from './backends/backend.ts';
import { Enclaves } from './enclaves.ts';
import type { Enclave } from './lifecycle/enclave.ts';
import { type Limits, limits } from './limits.ts';
import { pick } from './pick.ts';
import { successorOf } from './restart/policy.ts';
import { type Ended, hasNext, Restarts } from './restart/restarts.ts';
import { SupervisorError } from './supervisor-error.ts';
import { Updates } from './update/updates.ts';

export interface SupervisorOptions {
  bus: Bus;
  backend: Backend;
  logger: Logger;
  runDir: string;
  stopOnExit: boolean;
  limits?: Limits;
}

type Request<O extends 'run' | 'update' | 'stop'> = OperationRequest<'supervisor', O>;

/** All enclaves of this host: accepts them, knows them, starts them again, and remembers the last that ended. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #limits: Limits;
  readonly #enclaves: Enclaves;
  readonly #restarts: Restarts;
  readonly #updates: Updates;
  readonly #admission: Admission;
  readonly #events: ReturnType<Bus['events']>;
  readonly #deserted = Promise.withResolvers<number>();
  /** One is admitted after the other: what the first takes, the second must not count on. */
  #admitting: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(options: SupervisorOptions) {
    const { bus, backend, logger, runDir } = options;
    this.#options = options;
    this.#limits = options.limits ?? limits;
    const tools = { bus, backend, logger, runDir, limits: this.#limits };
    this.#enclaves = new Enclaves({ ...tools, onGone: (record) => this.#gone(record) });
    this.#restarts = new Restarts({ bus, logger, start: (ended) => this.#startAgain(ended) });
    this.#updates = new Updates({
      ...{ bus, logger, limits: this.#limits },
      get: (id) => this.#enclaves.get(id),
      holders: (name) => this.#holders(name),
      cancelRestart: (id) => this.#cancelRestart(id),
    });
    this.#admission = new Admission({ backend, limits: this.#limits, held: () => this.#enclaves.records });
    this.#events = bus.events();
  }

  /** Takes up what an earlier supervisor left, and is ready for requests then. */
  async start(): Promise<void> {
    await mkdir(this.#options.runDir, { recursive: true, mode: 0o700 });
    await this.#events.ready;
    void this.#follow();
    await this.#takeUp();
    void this.#mend();
  }

  /** Resolves when the last enclave has ended and none follows, with the exit code for how it ended. */
  get deserted(): Promise<number> {
    return this.#deserted.promise;
  }

  readonly handlers: OperationHandlers<'supervisor'> = {
    run: async (request) => ({ enclave: await this.#run(request) }),
    update: (request) => this.#update(request),
    stop: async (request) => ({ enclave: await this.#stop(request) }),
    list: async ({ all }) => ({ enclaves: all === true ? await this.#known() : this.#present() }),
    describe: async ({ id }) => ({ enclave: pick(await this.#known(), id) }),
  };

  async close(): Promise<void> {
    this.#stopping = true;
    this.#updates.close();
    if (this.#options.stopOnExit) {
      // Of one that ended a moment ago the restart is still its own
      for (const { life } of this.#enclaves.all) life.cancelRestart();
      for (const { id } of this.#restarts.records) await this.#restarts.cancel(id);
      await this.#enclaves.stop(this.#limits.graceMs);
    }
    this.#restarts.close();
    if (!this.#options.stopOnExit) await this.#enclaves.detach();
    await this.#events.close();
  }

  /** Those that run, and those that are to be started again. */
  #present(): EnclaveRecord[] {
    const running = this.#enclaves.records.filter(isPresent);
    return [...running, ...this.#restarts.records];
  }

  /** Those that have ended, too. */
  async #known(): Promise<EnclaveRecord[]> {
    const stored = await this.#options.bus.enclaves.list();
    return [...this.#enclaves.records, ...stored.filter(({ id }) => this.#enclaves.get(id) === undefined)];
  }

  async #run(request: Request<'run'>): Promise<EnclaveRecord> {
    const enclave = await this.#inTurn(async () => {
      const { record, eif } = await this.#admission.admit(request);
      this.#refuseTaken(record);
      return this.#enclaves.start(record, Promise.resolve(eif));
    });
    return await this.#acknowledge(enclave);
  }

  /** What is accepted must be on the bus first, so that no later supervisor can have missed it. Errors: `BUS_NOT_STORING`. */
  async #acknowledge(enclave: Enclave): Promise<EnclaveRecord> {
    const { acceptMs } = this.#limits;
    const late = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => late.resolve('late'), acceptMs);
    const first = await Promise.race([enclave.life.written(), late.promise]);
    clearTimeout(timer);
    if (first !== 'late') return enclave.record;
    const message = `the bus did not store the enclave within ${acceptMs} ms; nothing was started`;
    const error = new SupervisorError('BUS_NOT_STORING', message, {
      remedy:
        'see the log of nats-server; where its disk was full, make room and restart it: it does not store again before',
    });
    enclave.life.fail(error);
    throw error;
  }

  async #update(request: Request<'update'>): Promise<{ enclave: EnclaveRecord; replaces: EnclaveRecord }> {
    const { enclave, old } = await this.#inTurn(async () => {
      const asked = pick(this.#present(), request.id);
      const underway = this.#present().find(({ name, update }) => name === asked.name && update !== undefined);
      if (underway !== undefined) {
        const message = `${asked.name} is being updated to ${underway.id} already`;
        throw new SupervisorError('UPDATE_RUNNING', message, {
          remedy: `wait for it, or stop it: enclaver stop ${underway.id}`,
        });
      }
      const { record, eif } = await this.#admission.admitUpdate(request, asked);
      return { enclave: this.#enclaves.start(record, Promise.resolve(eif)), old: asked };
    });
    this.#updates.follow(enclave);
    return { enclave: await this.#acknowledge(enclave), replaces: old };
  }

  /** Who has this name and its ports: not the new enclave of an update that goes on. */
  #holders(name: string): EnclaveRecord[] {
    return this.#present().filter((record) => record.name === name && record.takesOver === undefined);
  }

  /** `id`: of an enclave that is there already, and must not count as another. */
  async #inTurn<T>(admit: () => Promise<T>, id?: string): Promise<T> {
    const turn = this.#admitting.then(() => {
      if (this.#stopping) throw new SupervisorError('SUPERVISOR_STOPPING', 'the supervisor is ending');
      const others = this.#enclaves.all.filter((enclave) => enclave.id !== id);
      if (others.length < this.#limits.enclaves) return admit();
      const message = `${this.#limits.enclaves} enclaves run already; no more are allowed`;
      throw new SupervisorError('TOO_MANY_ENCLAVES', message);
    });
    this.#admitting = turn.catch(() => undefined);
    return turn;
  }

  #refuseTaken({ name }: Unplaced): void {
    const taken = this.#present().find((record) => record.name === name);
    if (taken === undefined) return;
    const does = hasNext(taken) ? 'is about to be started again' : 'runs already';
    throw new SupervisorError('NAME_IN_USE', `an enclave named ${name} ${does}`, {
      remedy: `choose another with --name, or stop it: enclaver stop ${name}`,
    });
  }

  /** Stops what runs and takes back what is still to come; for who holds a name that is the update of it, too. */
  async #stop({ id, graceMs = this.#limits.graceMs }: Request<'stop'>): Promise<EnclaveRecord> {
    const found = pick([...this.#enclaves.records, ...this.#restarts.records], id);
    const updating = this.#present().find(({ name, takesOver }) => name === found.name && takesOver !== undefined);
    if (updating !== undefined && updating.id !== found.id) this.#enclaves.get(updating.id)?.stop(graceMs);
    this.#enclaves.get(found.id)?.stop(graceMs);
    const record = (await this.#cancelRestart(found.id)) ?? this.#enclaves.get(found.id)?.record ?? found;
    await this.#enclaves.get(found.id)?.life.written();
    return record;
  }

  /** The record without its restart, where there was one to come. */
  async #cancelRestart(id: string): Promise<EnclaveRecord | undefined> {
    const enclave = this.#enclaves.get(id);
    if (enclave === undefined) {
      const record = await this.#restarts.cancel(id);
      if (record !== undefined) this.#endIfDeserted(record);
      return record;
    }
    enclave.life.cancelRestart();
    return enclave.record;
  }

  async #startAgain(ended: Ended): Promise<void> {
    const image = Promise.withResolvers<Awaited<ReturnType<Admission['admitAgain']>>>();
    const enclave = this.#enclaves.start(successorOf(ended, ended.next), image.promise);
    image.resolve(this.#inTurn(() => this.#admission.admitAgain(enclave.record), enclave.id));
    await enclave.life.written();
  }

  async #gone(record: EnclaveRecord): Promise<void> {
    if (this.#stopping) return;
    if (hasNext(record)) this.#restarts.schedule(record);
    else this.#endIfDeserted(record);
    // The bus may be away, or go now: they are forgotten with the next one that ends
    await this.#forgetOld().catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, 'enclaves that ended long ago are not forgotten yet');
    });
  }

  #endIfDeserted({ result }: EnclaveRecord): void {
    if (this.#present().length === 0 && result !== undefined) this.#deserted.resolve(exitCodeOf(result));
  }

  async #follow(): Promise<void> {
    for await (const event of this.#events) {
      this.#enclaves.onEvent(event);
      this.#updates.onEvent(event);
    }
  }

  /** Whoever may ask the server for something can have its answer written over a record. */
  async #mend(): Promise<void> {
    const { bus, logger } = this.#options;
    try {
      await bus.enclaves.mend((enclave, how) => {
        logger.warn({ code: 'BUS_STATE_OVERWRITTEN', enclave }, `a record was overwritten with what is none: ${how}`);
      });
    } catch (error) {
      logger.error({ err: error }, 'records are mended no more');
    }
  }

  async #takeUp(): Promise<void> {
    const records = await this.#options.bus.enclaves.list();
    for (const record of records) {
      if (!hasEnded(record.state) || (await this.#enclaves.isLeft(record.id))) await this.#enclaves.resume(record);
      else if (hasNext(record)) await this.#restarts.takeUp(record, records);
    }
    for (const enclave of this.#enclaves.all) if (enclave.record.update !== undefined) this.#updates.follow(enclave);
  }

  async #forgetOld(): Promise<void> {
    const { bus } = this.#options;
    const ended = (await bus.enclaves.list()).filter((record) => !isPresent(record));
    const endOf = ({ state, times }: EnclaveRecord): string => times[state] ?? '';
    ended.sort((a, b) => endOf(a).localeCompare(endOf(b)));
    for (const { id } of ended.slice(0, -this.#limits.endedRecords)) await bus.enclaves.remove(id);
  }
}
