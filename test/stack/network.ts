import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const ip = (...args: string[]): Promise<unknown> => execute('ip', args);

/** A namespace each for a hub and some other machines, on one wire. A machine's end can be cut: what it sends is then lost without a word. */
export class Network implements AsyncDisposable {
  readonly hubAddress = '10.213.0.1';
  readonly #machines: readonly string[];
  readonly #processes: ChildProcess[] = [];

  private constructor(machines: readonly string[]) {
    this.#machines = machines;
  }

  static async make(machines: readonly string[]): Promise<Network> {
    const network = new Network(machines);
    const hub = network.#namespace('hub');
    await ip('netns', 'add', hub);
    await ip('-n', hub, 'link', 'set', 'lo', 'up');
    await ip('-n', hub, 'link', 'add', 'wire', 'type', 'bridge');
    await ip('-n', hub, 'address', 'add', `${network.hubAddress}/24`, 'dev', 'wire');
    await ip('-n', hub, 'link', 'set', 'wire', 'up');
    for (const machine of machines) {
      const namespace = network.#namespace(machine);
      await ip('netns', 'add', namespace);
      await ip('-n', hub, 'link', 'add', machine, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      await ip('-n', hub, 'link', 'set', machine, 'master', 'wire', 'up');
      await ip('-n', namespace, 'address', 'add', `${network.addressOf(machine)}/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) await ip('-n', namespace, 'link', 'set', device, 'up');
    }
    return network;
  }

  #namespace(name: string): string {
    return `enclaver-net-${process.pid}-${name}`;
  }

  addressOf(machine: string): string {
    return `10.213.0.${this.#machines.indexOf(machine) + 2}`;
  }

  /** The link goes down at the other end. */
  cut(machine: string): Promise<unknown> {
    return ip('-n', this.#namespace('hub'), 'link', 'set', machine, 'down');
  }

  heal(machine: string): Promise<unknown> {
    return ip('-n', this.#namespace('hub'), 'link', 'set', machine, 'up');
  }

  /** The link stays up, and nothing passes. */
  swallow(machine: string): Promise<unknown> {
    return this.run('hub', ['bridge', 'link', 'set', 'dev', machine, 'state', 'disabled']);
  }

  pass(machine: string): Promise<unknown> {
    return this.run('hub', ['bridge', 'link', 'set', 'dev', machine, 'state', 'forwarding']);
  }

  /** Starts a program on a machine. */
  prefix(machine: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(machine)];
  }

  /** Runs a command on a machine; throws when it fails. */
  run(
    machine: string,
    command: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ stdout: string; stderr: string }> {
    return execute('ip', ['netns', 'exec', this.#namespace(machine), ...command], { env: { ...process.env, ...env } });
  }

  /** Starts what runs until the network goes. */
  start(machine: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.#namespace(machine), ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#processes.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    }
    for (const name of ['hub', ...this.#machines]) await ip('netns', 'delete', this.#namespace(name));
  }
}
