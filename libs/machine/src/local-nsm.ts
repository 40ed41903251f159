import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import {
  NsmSimulator,
  openDevelopmentRoot,
  SimulatorServer,
  type SimulatorState,
} from '@enclaver/attestation/simulator';
import type { Measurements } from '@enclaver/eif';
import type { VsockTransport } from '@enclaver/vsock';
import { NSM_PORT } from '@enclaver/wire';
import type { Logger } from 'pino';

export interface LocalNsmOptions {
  /** Folder of the development root. */
  rootDir: string;
  /** ARN of the role that PCR3 stands for. */
  roleArn?: string;
  /** The instance that PCR4 stands for. */
  instanceId?: string;
  logger: Logger;
}

export interface SimulatedEnclave {
  transport: VsockTransport;
  measurements: Measurements;
  debug: boolean;
  /** Where module id and registers outlive this process. */
  stateFile: string;
}

/** What stands in for the Nitro Secure Module of one enclave: a simulator at its vsock port. */
export class LocalNsm {
  readonly #server: SimulatorServer;
  readonly #listener: { close(): Promise<void> };

  private constructor(server: SimulatorServer, listener: { close(): Promise<void> }) {
    this.#server = server;
    this.#listener = listener;
  }

  /**
   * Serves a new device, or the one that an earlier process has left in the state file. Throws SimulatorError, VsockError, and
   * what the file system throws.
   */
  static async serve(enclave: SimulatedEnclave, options: LocalNsmOptions): Promise<LocalNsm> {
    const { rootDir, logger, ...parent } = options;
    const { transport, stateFile, ...image } = enclave;
    const simulator = new NsmSimulator({
      root: await openDevelopmentRoot(rootDir),
      ...image,
      ...parent,
      ...(existsSync(stateFile) ? { saved: JSON.parse(readFileSync(stateFile, 'utf8')) } : {}),
      save: (state) => writeState(stateFile, state),
    });
    const server = new SimulatorServer(simulator, {
      onFailure: (error) => logger.debug({ err: error }, 'a request to the NSM simulator failed'),
    });
    const listener = await transport.listen(NSM_PORT, (stream) => server.accept(stream));
    return new LocalNsm(server, listener);
  }

  async close(): Promise<void> {
    await this.#listener.close();
    this.#server.close();
  }
}

/** At once and whole: the enclave learns of a change only when it is kept. */
function writeState(file: string, state: SimulatorState): void {
  writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
