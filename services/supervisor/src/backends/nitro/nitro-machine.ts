import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { limits } from '../../limits.ts';
import type { Machine, MachineEnd } from '../backend.ts';
import type { ConsoleServer } from './console-server.ts';
import type { NitroCli } from './nitro-cli.ts';
import type { StartedEnclave } from './outputs.ts';
import { ProcessWatch } from './process-watch.ts';

export interface NitroMachineTools {
  cli: NitroCli;
  logger: Logger;
  console: ConsoleServer | undefined;
}

/**
 * A running enclave of Nitro: the process of nitro-cli that holds it. The driver tells that process of the end of the enclave, and
 * ends the enclave with the process; how an enclave ended neither can say.
 */
export class NitroMachine implements Machine {
  readonly pid: number;
  /** nitro-cli returns when the enclave has reported. */
  readonly booted = Promise.resolve();
  readonly gone: Promise<MachineEnd>;
  readonly #enclaveId: string;
  readonly #tools: NitroMachineTools;
  #over = false;
  #killing: Promise<void> | undefined;

  constructor({ ProcessID, EnclaveID }: Pick<StartedEnclave, 'ProcessID' | 'EnclaveID'>, tools: NitroMachineTools) {
    this.pid = ProcessID;
    this.#enclaveId = EnclaveID;
    this.#tools = tools;
    this.gone = new ProcessWatch(ProcessID).gone.then(() => this.#end());
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async #kill(): Promise<void> {
    const { cli, logger, console } = this.#tools;
    if (!this.#over) {
      await cli.terminate(this.#enclaveId).catch((error: unknown) => {
        logger.warn({ err: error, nitroEnclave: this.#enclaveId }, 'nitro-cli did not terminate the enclave');
      });
      const over = new AbortController();
      const late = sleep(limits.nitroGoneMs, true, { signal: over.signal }).catch(() => false);
      if (await Promise.race([this.gone.then(() => false), late])) this.#endProcess();
      over.abort();
      await this.gone;
    }
    await console?.close();
  }

  /** The descriptor that keeps the enclave closes with it. */
  #endProcess(): void {
    this.#tools.logger.warn({ pid: this.pid, nitroEnclave: this.#enclaveId }, 'the process of an enclave is killed');
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #end(): MachineEnd {
    this.#over = true;
    if (this.#killing !== undefined) return { reason: 'killed', detail: 'the enclave was ended by the supervisor' };
    const detail = `the enclave ${this.#enclaveId} ended, and with it nitro-cli's process ${this.pid}; Nitro does not say why`;
    return { reason: 'died', detail };
  }
}
