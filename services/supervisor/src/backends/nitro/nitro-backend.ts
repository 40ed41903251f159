import { randomInt } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnclaveRecord, VsockAddress } from '@enclaver/bus';
import type { Eif, Measurements } from '@enclaver/eif';
import type { Logger } from 'pino';
import { limits } from '../../limits.ts';
import type { Backend, Capacity, LaunchRequest, Machine } from '../backend.ts';
import { allocatorRemedy, checkWanted } from './checks.ts';
import { ConsoleServer } from './console-server.ts';
import { type EmulatedHost, nitroDevice } from './emulated-host.ts';
import { readHost } from './host.ts';
import { isBeingStarted, NitroCli, program } from './nitro-cli.ts';
import { NitroError } from './nitro-error.ts';
import { NitroMachine } from './nitro-machine.ts';
import type { DescribedEnclave, StartedEnclave } from './outputs.ts';

/** Enclaves get a CID by chance, so that those of several supervisors, and of others, do not meet: 24 bits above the reserved ones. */
const FIRST_CID = 16;
const CIDS = 2 ** 24;

export interface NitroBackendOptions {
  logger: Logger;
  emulated?: EmulatedHost | undefined;
  /** What a command of nitro-cli may take; another number for tests that would otherwise wait for it. */
  commandMs?: number;
}

/** Runs enclaves of AWS Nitro by nitro-cli. */
export class NitroBackend implements Backend {
  readonly name = 'nitro';
  readonly #cli: NitroCli;
  readonly #logger: Logger;
  readonly #emulated: EmulatedHost | undefined;
  /** Starts wait for each other: one at a time can have the heartbeat port of the host. */
  #lastStart: Promise<unknown> = Promise.resolve();

  constructor({ logger, emulated, commandMs }: NitroBackendOptions) {
    this.#logger = logger;
    this.#cli = new NitroCli(commandMs);
    this.#emulated = emulated;
  }

  async check(eif: Eif, memoryMb: number, cpuCount: number): Promise<void> {
    program();
    checkDevice(nitroDevice(this.#emulated));
    // What an enclave that is just ending still holds comes back in a moment: it must not refuse the one that follows it
    const until = performance.now() + limits.nitroSettleMs;
    for (;;) {
      const running = await this.#describe();
      const inUse = running.reduce((sum, { NumberOfCPUs }) => sum + NumberOfCPUs, 0);
      try {
        checkWanted({ eif, memoryMb, cpuCount }, readHost(this.#emulated?.root ?? '/'), inUse);
        return;
      } catch (error) {
        if (!(error instanceof NitroError) || !error.passing || performance.now() > until) throw error;
        await sleep(limits.nitroSettleLookMs);
      }
    }
  }

  /** What the allocator has set aside; what others than our enclaves have of it counts as taken. */
  async capacity(held: readonly EnclaveRecord[]): Promise<Capacity> {
    const { poolSize, memory, poolNode } = readHost(this.#emulated?.root ?? '/');
    const usable = memory.filter(({ node }) => poolNode === undefined || node === poolNode);
    // What is accepted and not launched yet has nothing of it, and will
    const coming = held.filter(({ times }) => times.launching === undefined);
    const sum = (values: number[]): number => values.reduce((all, each) => all + each, 0);
    const freeMb = sum(usable.map((node) => node.freeMb)) - sum(coming.map(({ memoryMb }) => memoryMb));
    const totalMb = sum(usable.map((node) => node.totalMb));
    return {
      ...(poolSize === undefined ? {} : { cpus: { total: poolSize, remedy: allocatorRemedy('cpu_count') } }),
      ...(memory.length === 0
        ? {}
        : { memoryMb: { total: totalMb, free: freeMb, remedy: allocatorRemedy('memory_mib') } }),
    };
  }

  place(folder: string, used: readonly VsockAddress[], debug: boolean): { vsock: VsockAddress; console?: string } {
    const taken = new Set(used.map(cidOf));
    let cid = randomCid();
    while (taken.has(cid)) cid = randomCid();
    const vsock = this.#emulated?.vsock(cid) ?? ({ type: 'vsock', cid } as const);
    return debug ? { vsock, console: consolePath(folder) } : { vsock };
  }

  async launch(request: LaunchRequest): Promise<Machine> {
    const console = request.debug ? await ConsoleServer.listen(consolePath(request.folder)) : undefined;
    let machine: NitroMachine | undefined;
    try {
      const start = this.#lastStart.then(() => this.#start(request));
      this.#lastStart = start.catch(() => undefined);
      const started = await start;
      machine = new NitroMachine(started, { cli: this.#cli, logger: this.#logger, console });
      await this.#verify(started, request.eif.measurements);
      console?.attach(this.#cli.console(started.EnclaveID));
      return machine;
    } catch (error) {
      // It runs, and nobody else knows of it
      await machine?.kill();
      await console?.close();
      throw error;
    }
  }

  async adopt({ id, debug }: EnclaveRecord, folder: string): Promise<Machine | undefined> {
    const found = await this.#find(id);
    if (found === undefined) return undefined;
    const console = debug ? await ConsoleServer.listen(consolePath(folder)) : undefined;
    console?.attach(this.#cli.console(found.EnclaveID));
    return new NitroMachine(found, { cli: this.#cli, logger: this.#logger, console });
  }

  /** A nitro-cli that the end of its supervisor has left alone goes on, and lists the enclave only when it has booted. */
  async adoptLate(record: EnclaveRecord, folder: string): Promise<Machine | undefined> {
    const until = performance.now() + limits.nitroStartLeftMs;
    while (isBeingStarted(record.id)) {
      if (performance.now() > until) {
        this.#logger.error(
          { enclave: record.id },
          'a nitro-cli that starts an enclave has not ended: it is left alone',
        );
        return undefined;
      }
      await sleep(limits.nitroRetryMs);
    }
    return await this.adopt(record, folder);
  }

  /** Tries a boot once more, and oftener what passes by itself: for a moment, an enclave that has ended keeps its CPUs, and its process its socket. */
  async #start({ folder, eif, eifPath, cpuCount, memoryMb, vsock, debug }: LaunchRequest): Promise<StartedEnclave> {
    const name = basename(folder);
    const request = { name, eifPath, eifBytes: eif.size, cpuCount, memoryMb, cid: cidOf(vsock), debug };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#cli.start(request);
      } catch (error) {
        // nitro-cli may have failed, or been given up, behind an enclave that runs
        await this.#terminateLeft(name);
        if (!(error instanceof NitroError) || attempt >= triesOf(error)) throw error;
        this.#logger.warn({ err: error, enclave: name, attempt }, 'nitro-cli did not start the enclave: once more');
        await sleep(limits.nitroRetryMs * attempt);
      }
    }
  }

  async #terminateLeft(name: string): Promise<void> {
    try {
      const left = await this.#find(name);
      if (left !== undefined) await this.#cli.terminate(left.EnclaveID);
    } catch (error) {
      this.#logger.warn({ err: error, enclave: name }, 'cannot see whether a failed start left an enclave');
    }
  }

  /** nitro-cli has read the file a second time: what runs must be what was measured. Throws `EIF_CHANGED`. */
  async #verify({ EnclaveID }: StartedEnclave, expected: Measurements): Promise<void> {
    const described = (await this.#describe()).find((each) => each.EnclaveID === EnclaveID);
    const running = described?.Measurements;
    // Older versions do not tell, and what has ended is told of by its process
    if (running === undefined) return;
    if ((['PCR0', 'PCR1', 'PCR2'] as const).every((register) => running[register] === expected[register])) return;
    throw new NitroError(
      'EIF_CHANGED',
      `the image changed while it was started: PCR0 was ${expected.PCR0}, now ${running.PCR0}`,
      {
        remedy: 'start it again, from a file that nobody writes to',
      },
    );
  }

  async #find(name: string): Promise<DescribedEnclave | undefined> {
    return (await this.#describe()).find(({ EnclaveName, State }) => EnclaveName === name && State === 'RUNNING');
  }

  async #describe(): Promise<DescribedEnclave[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#cli.describe();
      } catch (error) {
        if (!(error instanceof NitroError) || !error.passing || attempt >= limits.nitroStarts) throw error;
        await sleep(limits.nitroRetryMs);
      }
    }
  }
}

/** A boot that failed is tried once more, as on every backend. */
function triesOf({ code, passing }: NitroError): number {
  if (passing) return limits.nitroStarts;
  return code === 'NITRO_E36' ? limits.boots : 1;
}

function consolePath(folder: string): string {
  return join(folder, 'console.sock');
}

function randomCid(): number {
  return FIRST_CID + randomInt(CIDS);
}

function cidOf(vsock: VsockAddress): number {
  return vsock.type === 'vsock' ? vsock.cid : Number(basename(vsock.path));
}

function checkDevice(device: string): void {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch (cause) {
    const denied = (cause as NodeJS.ErrnoException).code === 'EACCES';
    throw denied
      ? new NitroError('NITRO_DEVICE_DENIED', `${device} is not ours to open`, {
          cause,
          remedy: 'run the supervisor as root or in the group ne',
        })
      : new NitroError('NITRO_DEVICE_MISSING', `there is no ${device}`, {
          cause,
          remedy: 'start the instance with Nitro Enclaves enabled and load nitro_enclaves; a container needs --device',
        });
  }
}
