import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BusCredentials,
  type BusUser,
  busUsers,
  everything,
  natsServerConfig,
  permissionsOf,
  type ServerConfig,
} from '../src/index.ts';

const TESTER = { user: 'test', password: 'only-in-this-test' };
const passwordOf = (user: BusUser): string => `only-in-this-test-${user}`;

/** A real nats-server process on a free loopback port, with the configuration that the product generates. */
export class NatsProcess implements AsyncDisposable {
  /** May do everything. */
  readonly credentials: BusCredentials;
  #process: ChildProcess;
  readonly #command: readonly string[];
  readonly #folder: string;

  private constructor(process: ChildProcess, command: readonly string[], folder: string, credentials: BusCredentials) {
    this.#process = process;
    this.#command = command;
    this.#folder = folder;
    this.credentials = credentials;
  }

  /** `edit`: makes another configuration of that of the product; `prefix`: a program, with its arguments, that starts the server. */
  static async start(
    more: Partial<ServerConfig> = {},
    edit: (config: string) => string = (config) => config,
    prefix: readonly string[] = [],
  ): Promise<NatsProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-nats-'));
    const users = [
      { ...TESTER, permissions: everything },
      ...busUsers.map((user) => ({ user, password: passwordOf(user), permissions: permissionsOf(user) })),
    ];
    const config = join(folder, 'nats.conf');
    const options = { host: '127.0.0.1', port: 0, storeDir: folder, portsDir: folder, users, ...more };
    await writeFile(config, edit(natsServerConfig(options)));
    const command = [...prefix, 'nats-server', '-c', config];
    const process = run(command);
    const url = await portOf(folder, process);
    return new NatsProcess(process, command, folder, { url, ...TESTER });
  }

  /** Credentials of a user of the product, with its permissions. */
  as(user: BusUser): BusCredentials {
    return { url: this.credentials.url, user, password: passwordOf(user) };
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Ends the server as a crash does; what it has stored stays. */
  async crash(): Promise<void> {
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  /** Starts it anew after `crash`, at its old address. */
  async restart(): Promise<void> {
    const config = join(this.#folder, 'nats.conf');
    const port = new URL(this.credentials.url).port;
    await writeFile(config, (await readFile(config, 'utf8')).replace(/^port: .*$/m, `port: ${port}`));
    this.#process = run(this.#command);
    await once(this.#process, 'spawn');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM');
      await once(this.#process, 'exit');
    }
    await rm(this.#folder, { recursive: true });
  }
}

function run([program = '', ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: 'ignore' });
}

async function portOf(folder: string, process: ChildProcess): Promise<string> {
  while (process.exitCode === null) {
    const file = (await readdir(folder)).find((name) => name.endsWith('.ports'));
    if (file !== undefined) {
      const ports = JSON.parse((await readFile(join(folder, file), 'utf8')) || '{}');
      if (ports.nats?.[0] !== undefined) return ports.nats[0];
    }
    await sleep(20);
  }
  throw new Error('nats-server ended at once');
}
