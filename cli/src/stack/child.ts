import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from '../limits.ts';

export interface ChildSpec {
  name: string;
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  /** File descriptor for the child's stdout and stderr. */
  log: number;
  /** How far it stands behind the others where processors are scarce (nice(1), 0 to 19). */
  niceness: number;
}

/**
 * A process of the stack that is started again when it ends, with growing pauses. `setpriv` has the kernel send it
 * SIGTERM when we die without a chance to do so ourselves: nothing of a stack may outlive it.
 */
export class Child {
  readonly spec: ChildSpec;
  readonly #onRestart: (name: string, cause: string) => void;
  #process: ChildProcess | undefined;
  #stopping = false;
  #pauseMs: number = limits.restartPauseMs;
  #pauseEnded = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(spec: ChildSpec, onRestart: (name: string, cause: string) => void) {
    this.spec = spec;
    this.#onRestart = onRestart;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const startedAt = performance.now();
      const cause = await this.#runOnce();
      if (this.#stopping) return;
      if (performance.now() - startedAt > limits.restartHealthyMs) this.#pauseMs = limits.restartPauseMs;
      this.#onRestart(this.spec.name, cause);
      await sleep(this.#pauseMs, undefined, { signal: this.#pauseEnded.signal }).catch((error: Error) => {
        if (error.name !== 'AbortError') throw error;
      });
      this.#pauseMs = Math.min(this.#pauseMs * 2, limits.restartPauseMaxMs);
    }
  }

  async #runOnce(): Promise<string> {
    const { command, args, env, log, niceness } = this.spec;
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args], {
      env,
      stdio: ['ignore', log, log],
      // Ctrl-C in a terminal goes to the whole foreground group; we decide who stops when
      detached: true,
    });
    this.#process = child;
    // Now, before it has threads: each has a priority of its own. Below ours, which only the privileged may raise
    if (child.pid !== undefined && niceness > 0) setPriority(child.pid, Math.min(19, getPriority() + niceness));
    try {
      const [code, signal] = await once(child, 'exit');
      return signal === null ? `ended with code ${code}` : `was killed by ${signal}`;
    } catch (error) {
      return `could not start: ${(error as Error).message}`;
    } finally {
      this.#process = undefined;
    }
  }

  /** SIGTERM, SIGKILL after `graceMs`; resolves once it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#pauseEnded.abort();
    const timer = this.#end(graceMs);
    await this.#loop;
    clearTimeout(timer);
  }

  /** Ends what runs now, SIGKILL after `graceMs`; the next one starts as after any end. */
  restart(graceMs: number): void {
    const timer = this.#end(graceMs);
    this.#process?.once('exit', () => clearTimeout(timer));
  }

  #end(graceMs: number): NodeJS.Timeout {
    const ending = this.#process;
    ending?.kill('SIGTERM');
    return setTimeout(() => ending?.kill('SIGKILL'), graceMs);
  }
}
