import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** The `enclaver` command, as a user has it. */
const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command that is running, with what it has written so far. */
export class Running {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = '';
  stderr = '';
  #ended = false;
  #wake: (() => void)[] = [];

  constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#notify();
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#notify();
    });
    this.finished = once(this.process, 'close').then(([code]) => {
      this.#ended = true;
      this.#notify();
      return { code, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** Resolves with the match once stderr has it; rejects when the command ends before that. */
  async seen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stderr);
      if (match !== null) return match;
      if (this.#ended) throw new Error(`enclaver ended before ${pattern}:\n${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  return new Running(args, env);
}

export function enclaver(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return new Running(args, env).finished;
}
