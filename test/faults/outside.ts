import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A service as a process, which is killed and started again. */
export class Outside {
  readonly #name: string;
  readonly #env: Record<string, string>;
  #process: ChildProcess | undefined;

  constructor(name: string, env: Record<string, string>) {
    this.#name = name;
    this.#env = env;
  }

  /** Resolves when it says that it has started. */
  async start(): Promise<void> {
    const main = join(import.meta.dirname, '../../services', this.#name, 'src/main.ts');
    const child = spawn(process.execPath, [main], {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      createInterface(child.stderr).on('line', (line) => line.includes('"service started"') && resolve());
      child.once('exit', (code) => reject(new Error(`${this.#name} ended with ${code}`)));
    });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async pauseFor(ms: number): Promise<void> {
    this.#process?.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#process?.kill('SIGCONT');
  }
}
