import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const ip = (...args: string[]): Promise<unknown> => execute('ip', args);

/** A namespace each for a hub and some parents, on one wire. A parent's end can be cut: what it sends is then lost without a word. */
export class Network implements AsyncDisposable {
  readonly hubAddress = '10.213.0.1';
  readonly #parents: readonly string[];
  readonly #processes: ChildProcess[] = [];

  private constructor(parents: readonly string[]) {
    this.#parents = parents;
  }

  static async make(parents: readonly string[]): Promise<Network> {
    const network = new Network(parents);
    const hub = network.#namespace('hub');
    await ip('netns', 'add', hub);
    await ip('-n', hub, 'link', 'set', 'lo', 'up');
    await ip('-n', hub, 'link', 'add', 'wire', 'type', 'bridge');
    await ip('-n', hub, 'address', 'add', `${network.hubAddress}/24`, 'dev', 'wire');
    await ip('-n', hub, 'link', 'set', 'wire', 'up');
    for (const [index, parent] of parents.entries()) {
      const namespace = network.#namespace(parent);
      await ip('netns', 'add', namespace);
      await ip('-n', hub, 'link', 'add', parent, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      await ip('-n', hub, 'link', 'set', parent, 'master', 'wire', 'up');
      await ip('-n', namespace, 'address', 'add', `10.213.0.${index + 2}/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) await ip('-n', namespace, 'link', 'set', device, 'up');
    }
    return network;
  }

  #namespace(name: string): string {
    return `enclaver-fleet-${process.pid}-${name}`;
  }

  cut(parent: string): Promise<unknown> {
    return ip('-n', this.#namespace('hub'), 'link', 'set', parent, 'down');
  }

  heal(parent: string): Promise<unknown> {
    return ip('-n', this.#namespace('hub'), 'link', 'set', parent, 'up');
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
    for (const name of ['hub', ...this.#parents]) await ip('netns', 'delete', this.#namespace(name));
  }
}
