import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Bus,
  type EnclaveRecord,
  hasEnded,
  type Measurements,
  type OperationHandlers,
  type OperationRequest,
  type PublishedPort,
} from '@enclaver/bus';
import { type IngressPort, type Manifest, needsEgress, needsPeer, needsStore } from '@enclaver/manifest';
import { checkMeasurements } from '@enclaver/trust';
import type { Logger } from 'pino';
import type { Backend } from './backends/backend.ts';
import { readImage } from './image/enclave-image.ts';
import { Enclave } from './lifecycle/enclave.ts';
import { type Limits, limits } from './limits.ts';
import { SupervisorError } from './supervisor-error.ts';

export interface SupervisorOptions {
  bus: Bus;
  backend: Backend;
  logger: Logger;
  runDir: string;
  stopOnExit: boolean;
  limits?: Limits;
}

type RunRequest = OperationRequest<'supervisor', 'run'>;

/** All enclaves of this host: accepts them, knows them, and remembers the last that ended. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #limits: Limits;
  readonly #enclaves = new Map<string, { enclave: Enclave; done: Promise<void> }>();
  readonly #names = new Set<string>();
  readonly #events: ReturnType<Bus['events']>;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#limits = options.limits ?? limits;
    this.#events = options.bus.events();
  }

  /** Takes up what an earlier supervisor left, and is ready for requests then. */
  async start(): Promise<void> {
    await mkdir(this.#options.runDir, { recursive: true, mode: 0o700 });
    await this.#events.ready;
    void this.#follow();
    await this.#takeUp();
  }

  readonly handlers: OperationHandlers<'supervisor'> = {
    run: async (request) => ({ enclave: await this.#run(request) }),
    stop: async ({ id, graceMs }) => {
      const { enclave } = this.#find(id);
      enclave.stop(graceMs ?? this.#limits.graceMs);
      await enclave.life.written();
      return { enclave: enclave.record };
    },
    list: async ({ all }) => {
      const running = [...this.#enclaves.values()].map(({ enclave }) => enclave.record);
      if (all !== true) return { enclaves: running.filter(({ state }) => !hasEnded(state)) };
      const known = await this.#options.bus.enclaves.list();
      return { enclaves: [...running, ...known.filter(({ id }) => !this.#enclaves.has(id))] };
    },
    describe: async ({ id }) => {
      const record = [...this.#enclaves.values()].map(({ enclave }) => enclave.record);
      const known = (await this.#options.bus.enclaves.list()).filter((each) => !this.#enclaves.has(each.id));
      return { enclave: pick([...record, ...known], id) };
    },
  };

  async close(): Promise<void> {
    this.#stopping = true;
    if (this.#options.stopOnExit) {
      for (const { enclave } of this.#enclaves.values()) enclave.stop(this.#limits.graceMs);
      await Promise.all([...this.#enclaves.values()].map(({ done }) => done));
    } else {
      await Promise.all([...this.#enclaves.values()].map(({ enclave }) => enclave.detach()));
    }
    await this.#events.close();
  }

  async #run(request: RunRequest): Promise<EnclaveRecord> {
    const { backend, bus, logger, runDir } = this.#options;
    if (this.#stopping) throw new SupervisorError('SUPERVISOR_STOPPING', 'the supervisor is ending');
    if (this.#enclaves.size >= this.#limits.enclaves) {
      throw new SupervisorError(
        'TOO_MANY_ENCLAVES',
        `${this.#limits.enclaves} enclaves run already; no more are allowed`,
      );
    }
    const image = await readImage(request.eif);
    const { manifest, eif } = image;
    // Here, too: who asked may have measured a file that has changed since
    if (request.expect !== undefined) checkMeasurements(request.expect, eif.measurements);
    const name = request.name ?? manifest.name;
    const memoryMb = request.memoryMb ?? manifest.defaults.memoryMb;
    const ingress = publishedPorts(request, manifest);
    const cpuCount = request.cpuCount ?? manifest.defaults.cpuCount;
    const debug = request.debug ?? false;
    await backend.check(eif, memoryMb, cpuCount);
    this.#reserve(name);
    try {
      const id = `e-${randomBytes(6).toString('hex')}`;
      const folder = join(runDir, id);
      const used = [...this.#enclaves.values()].map(({ enclave }) => enclave.record.vsock);
      const placed = backend.place(folder, used, debug);
      await mkdir(folder, { mode: 0o700 });
      const record: EnclaveRecord = {
        id,
        name,
        state: 'requested',
        backend: backend.name,
        eif: request.eif,
        measurements: eif.measurements,
        cpuCount,
        memoryMb,
        debug,
        ...placed,
        ingress,
        egress: needsEgress(manifest),
        ...(needsStore(manifest) ? { storeOwner: storeOwner(manifest, eif.measurements) } : {}),
        ...(request.startTimeoutMs === undefined ? {} : { startTimeoutMs: request.startTimeoutMs }),
        times: { requested: new Date().toISOString() },
      };
      const enclave = new Enclave(record, {
        bus,
        backend,
        logger,
        folder,
        limits: this.#limits,
        planRestart: () => undefined,
      });
      this.#keep(enclave, enclave.run(Promise.resolve(eif)));
      await enclave.life.written();
      return enclave.record;
    } catch (error) {
      this.#names.delete(name);
      throw error;
    }
  }

  #reserve(name: string): void {
    if (this.#names.has(name)) {
      throw new SupervisorError('NAME_IN_USE', `an enclave named ${name} runs already`, {
        remedy: `choose another with --name, or stop it: enclaver stop ${name}`,
      });
    }
    this.#names.add(name);
  }

  #keep(enclave: Enclave, running: Promise<void>): void {
    const { id, name } = enclave.record;
    this.#names.add(name);
    const done = running.then(async () => {
      this.#enclaves.delete(id);
      this.#names.delete(name);
      if (!this.#stopping) await this.#forgetOld();
    });
    this.#enclaves.set(id, { enclave, done });
  }

  #find(id: string): { enclave: Enclave } {
    const records = [...this.#enclaves.values()].map(({ enclave }) => enclave.record);
    return this.#enclaves.get(pick(records, id).id) as { enclave: Enclave };
  }

  async #follow(): Promise<void> {
    for await (const event of this.#events) this.#enclaves.get(event.id)?.enclave.onEvent(event);
  }

  async #takeUp(): Promise<void> {
    const { backend, bus, logger, runDir } = this.#options;
    for (const record of await bus.enclaves.list()) {
      if (hasEnded(record.state)) continue;
      const folder = join(runDir, record.id);
      const machine = record.backend === backend.name ? await backend.adopt(record, folder) : undefined;
      logger.info({ enclave: record.id, adopted: machine !== undefined }, 'enclave of an earlier supervisor');
      const enclave = new Enclave(record, {
        bus,
        backend,
        logger,
        folder,
        limits: this.#limits,
        planRestart: () => undefined,
      });
      this.#keep(enclave, enclave.resume(machine));
    }
  }

  async #forgetOld(): Promise<void> {
    const { bus } = this.#options;
    const ended = (await bus.enclaves.list()).filter(({ state }) => hasEnded(state));
    const endOf = ({ state, times }: EnclaveRecord): string => times[state] ?? '';
    ended.sort((a, b) => endOf(a).localeCompare(endOf(b)));
    for (const { id } of ended.slice(0, -this.#limits.endedRecords)) await bus.enclaves.remove(id);
  }
}

/**
 * Whose sealed values an image finds: those of the same signer's images of this name, or else of just this image. The name of one
 * run does not count: replicas on one host have different ones.
 */
function storeOwner({ name }: Manifest, { PCR0, PCR8 }: Measurements): string {
  return JSON.stringify([name, PCR8 ?? PCR0]);
}

/** The enclave of that id; else the one of that name, a running one first, then the one that started last. */
function pick(records: readonly EnclaveRecord[], id: string): EnclaveRecord {
  const named = records.filter(({ name }) => name === id);
  const started = ({ times }: EnclaveRecord): string => times.requested ?? '';
  const found =
    records.find((record) => record.id === id) ??
    named.find(({ state }) => !hasEnded(state)) ??
    named.toSorted((a, b) => started(b).localeCompare(started(a)))[0];
  if (found !== undefined) return found;
  throw new SupervisorError('ENCLAVE_NOT_FOUND', `there is no enclave ${id}`, { remedy: 'see `enclaver ps --all`' });
}

/** What is asked for, or each port of the manifest under its own number. Throws `PORT_NOT_IN_MANIFEST`. */
function publishedPorts({ publish, publishAll }: RunRequest, manifest: Manifest): PublishedPort[] {
  const known = manifest.ingress.map(({ listenPort }) => listenPort);
  const reported = new Set(manifest.ingress.filter(needsPeer).map(({ listenPort }) => listenPort));
  const complete = ({ listenPort, host, port, protocol, route }: PublishedPort): PublishedPort => ({
    ...{ listenPort, host, port },
    ...(protocol === 'http' ? { protocol, route: route ?? {} } : {}),
    ...(reported.has(listenPort) ? { reportPeer: true } : {}),
  });
  if (publish === undefined) {
    const host = publishAll === true ? '0.0.0.0' : '127.0.0.1';
    return known.map((listenPort) => complete({ listenPort, host, port: listenPort }));
  }
  for (const { listenPort, protocol } of publish) {
    const port = manifest.ingress.find((each) => each.listenPort === listenPort);
    if (port !== undefined) {
      if (protocol === 'http') checkHttp(port);
      continue;
    }
    throw new SupervisorError(
      'PORT_NOT_IN_MANIFEST',
      `port ${listenPort} is no ingress of the manifest; it has ${known.length === 0 ? 'none' : known.join(', ')}`,
      { remedy: 'add it to `ingress` in the manifest and build again' },
    );
  }
  return publish.map(complete);
}

/** The parent reads and shares out what comes in HTTP mode, over connections that are nobody's: both must suit the port. */
function checkHttp(port: IngressPort): void {
  const reason =
    port.tls !== undefined
      ? 'its TLS ends inside the enclave, where the outer-proxy cannot read'
      : needsPeer(port)
        ? 'its `clients` or `proxy_protocol` needs one connection for each client'
        : undefined;
  if (reason === undefined) return;
  throw new SupervisorError('PORT_NOT_FOR_HTTP', `port ${port.listenPort} cannot be published as HTTP: ${reason}`, {
    remedy: `publish it as TCP: leave out /http; or name an ingress without tls, clients and proxy_protocol`,
  });
}
