import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** A service as a process, which is killed and started again. */
export class Outside {
  readonly name: string;
  readonly #env: Record<string, string>;
  readonly #prefix: readonly string[];
  #process: ChildProcess | undefined;

  /** `prefix`: a program, with its arguments, that starts it. */
  constructor(name: string, env: Record<string, string>, prefix: readonly string[] = []) {
    this.name = name;
    this.#env = env;
    this.#prefix = prefix;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Resolves when it says that it has started. */
  async start(): Promise<void> {
    const main = join(import.meta.dirname, '../../services', this.name, 'src/main.ts');
    const [program = '', ...args] = [...this.#prefix, process.execPath, main];
    const child = spawn(program, args, { env: { ...process.env, ...this.#env }, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      createInterface(child.stderr).on('line', (line) => line.includes('"service started"') && resolve());
      child.once('exit', (code, signal) => reject(new Error(`${this.name} ended with ${code ?? signal}`)));
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
    await sleep(ms);
    this.#process?.kill('SIGCONT');
  }
}
