import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bus, EnclaveEvent, EnclaveRecord } from '@enclaver/bus';
import type { Eif } from '@enclaver/eif';
import type { Logger } from 'pino';
import type { Unplaced } from './admission/admission.ts';
import type { Backend } from './backends/backend.ts';
import { Enclave } from './lifecycle/enclave.ts';
import type { Limits } from './limits.ts';
import { planRestart } from './restart/policy.ts';

export interface EnclavesOptions {
  bus: Bus;
  backend: Backend;
  logger: Logger;
  runDir: string;
  limits: Limits;
  /** Told of each enclave whose last trace is gone. */
  onGone: (record: EnclaveRecord) => Promise<void>;
}

/** The enclaves of this host that run, from their acceptance until nothing of them is left. */
export class Enclaves {
  readonly #options: EnclavesOptions;
  readonly #running = new Map<string, { enclave: Enclave; done: Promise<void> }>();

  constructor(options: EnclavesOptions) {
    this.#options = options;
  }

  get all(): Enclave[] {
    return [...this.#running.values()].map(({ enclave }) => enclave);
  }

  get records(): EnclaveRecord[] {
    return this.all.map(({ record }) => record);
  }

  get(id: string): Enclave | undefined {
    return this.#running.get(id)?.enclave;
  }

  /** Starts what was accepted. It is known at once; `image` may still be on its way. Throws `RUN_DIR_TOO_LONG`. */
  start(record: Unplaced, image: Promise<Eif>): Enclave {
    const { backend, runDir } = this.#options;
    const folder = join(runDir, record.id);
    // Those that have ended still have machines, for as long as their logs are heard out
    const used = this.records.map(({ vsock }) => vsock);
    const enclave = this.#make({ ...record, ...backend.place(folder, used, record.debug) }, folder);
    const prepared = Promise.all([image, mkdir(folder, { mode: 0o700 })]).then(([eif]) => eif);
    this.#keep(enclave, enclave.run(prepared));
    return enclave;
  }

  /** Whether something of an enclave is left on this host: its folder goes last. */
  async isLeft(id: string): Promise<boolean> {
    return access(join(this.#options.runDir, id)).then(
      () => true,
      () => false,
    );
  }

  /** Takes up what an earlier supervisor started, or has not brought to its end. */
  async resume(record: EnclaveRecord): Promise<Enclave> {
    const { backend, logger, runDir } = this.#options;
    const folder = join(runDir, record.id);
    const machine = record.backend === backend.name ? await backend.adopt(record, folder) : undefined;
    logger.info({ enclave: record.id, adopted: machine !== undefined }, 'enclave of an earlier supervisor');
    const enclave = this.#make(record, folder);
    this.#keep(enclave, enclave.resume(machine));
    return enclave;
  }

  onEvent(event: EnclaveEvent): void {
    this.get(event.id)?.onEvent(event);
  }

  /** Stops all, and waits until nothing of them is left. */
  async stop(graceMs: number): Promise<void> {
    for (const enclave of this.all) enclave.stop(graceMs);
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Lets go of all; they run on. What happens to one while another is still being started is heard to the last. */
  async detach(): Promise<void> {
    await Promise.all(this.all.map((enclave) => enclave.launchNoMore()));
    await Promise.all(this.all.map((enclave) => enclave.detach()));
  }

  #make(record: EnclaveRecord, folder: string): Enclave {
    const { bus, backend, logger, limits } = this.#options;
    const plan = (ended: EnclaveRecord, wellMs: number) => planRestart(ended, wellMs, limits);
    return new Enclave(record, { bus, backend, logger, folder, limits, planRestart: plan });
  }

  #keep(enclave: Enclave, running: Promise<void>): void {
    const { id } = enclave;
    const done = running.then(async () => {
      this.#running.delete(id);
      await this.#options.onGone(enclave.record);
    });
    this.#running.set(id, { enclave, done });
  }
}
