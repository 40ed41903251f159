import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Bus, type BusUser } from '@enclaver/bus';
import { CliError } from '../cli-error.ts';
import { limits } from '../limits.ts';
import { Child } from './child.ts';
import { watchFullDisk } from './full-disk.ts';
import { busFile, nsmDir } from './locations.ts';
import { startNatsServer } from './nats-server.ts';
import { makePrivateFolder } from './private-folder.ts';

const services = ['log-relay', 'outer-proxy', 'builder', 'supervisor'] as const satisfies readonly BusUser[];

export interface StackOptions {
  /** Folder for sockets and credentials, made with mode 0700. */
  dir: string;
  /** Folder for images and the bus's state. */
  dataDir: string;
  /** TCP port of the bus on loopback; 0 for a free one. */
  busPort: number;
  /** File that links the host to its fleet. */
  fleet?: string | undefined;
  /** Stop all enclaves with the stack. */
  stopEnclaves: boolean;
  /** File for what nats-server and the services write; default: this process's stderr. */
  logFile?: string;
  onRestart: (name: string, cause: string) => void;
}

/** nats-server and the four services on this machine, each its own process. */
export class Stack {
  readonly #options: StackOptions;
  readonly #log: FileHandle | undefined;
  #bus: Child | undefined;
  #endDiskWatch: () => void = () => undefined;
  readonly #services: Child[] = [];

  private constructor(options: StackOptions, log: FileHandle | undefined) {
    this.#options = options;
    this.#log = log;
  }

  /** Starts all of it; resolves when every service answers on the bus. What was started is taken down on failure. */
  static async start(options: StackOptions): Promise<Stack> {
    await makePrivateFolder(options.dir);
    await makePrivateFolder(options.dataDir);
    const log = options.logFile === undefined ? undefined : await open(options.logFile, 'a', 0o600);
    const stack = new Stack(options, log);
    try {
      await stack.#startAll();
    } catch (error) {
      await stack.stop();
      throw error;
    }
    return stack;
  }

  async #startAll(): Promise<void> {
    const { dir, dataDir, busPort, fleet, stopEnclaves, onRestart } = this.#options;
    const log = this.#log?.fd ?? process.stderr.fd;
    const busDir = join(dir, 'bus');
    const storeDir = join(dataDir, 'bus');
    this.#bus = await startNatsServer({ dir: busDir, storeDir, port: busPort, fleet, log, onRestart });
    this.#endDiskWatch = watchFullDisk(storeDir, () => this.#bus?.restart(limits.busStopMs));
    const httpDir = join(dir, 'http');
    await mkdir(httpDir, { recursive: true, mode: 0o700 });
    for (const name of services) {
      const env = {
        ...process.env,
        ENCLAVER_BUS: join(busDir, `${name}.json`),
        ENCLAVER_RUN_DIR: join(dir, 'run'),
        ENCLAVER_DATA_DIR: dataDir,
        ENCLAVER_NSM_DIR: nsmDir(),
        ENCLAVER_HTTP: `unix:${join(httpDir, `${name}.sock`)}`,
        ...(stopEnclaves ? { ENCLAVER_STOP_ON_EXIT: '1' } : {}),
      };
      const main = fileURLToPath(import.meta.resolve(`@enclaver/${name}/main`));
      // Lines of a log wait for bytes of connections: one enclave's flood shall not slow the others' traffic
      const niceness = name === 'log-relay' ? limits.logNiceness : 0;
      const child = new Child({ name, command: process.execPath, args: [main], env, log, niceness }, onRestart);
      child.start();
      this.#services.push(child);
    }
    await this.#waitForServices(busFile(dir));
  }

  async #waitForServices(credentials: string): Promise<void> {
    await using bus = await Bus.connect({ source: 'enclaver/stack', credentials });
    const until = performance.now() + limits.servicesStartMs;
    const missing = new Set<string>(services);
    while (performance.now() < until) {
      for (const name of await bus.services()) missing.delete(name);
      if (missing.size === 0) return;
      await sleep(50);
    }
    throw new CliError(
      'STACK_START_FAILED',
      `not on the bus within ${limits.servicesStartMs} ms: ${[...missing].join(', ')}`,
      'see the log above, or run `enclaver up` to watch them start',
    );
  }

  /** Supervisor first, since it needs the others to end its enclaves in order; the bus last. */
  async stop(): Promise<void> {
    this.#endDiskWatch();
    for (const child of [...this.#services].reverse()) await child.stop(limits.serviceStopMs);
    await this.#bus?.stop(limits.busStopMs);
    await rm(join(this.#options.dir, 'bus'), { recursive: true, force: true });
    await this.#log?.close();
  }
}
