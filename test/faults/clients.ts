import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ClientsOptions {
  readonly host?: string;
  readonly port: number;
  /** What each answer holds. */
  readonly expected: Buffer;
  /** So many at a time. */
  readonly count: number;
  /** A program, with its arguments, that starts them. */
  readonly prefix?: readonly string[];
}

/** Clients that fetch the same bytes over and over, each time on a new connection, and look at every one of them. */
export class Clients {
  requests = 0;
  /** What was wrong with requests that failed. */
  readonly failures: string[] = [];
  readonly #process: ChildProcess;

  constructor({ host = '127.0.0.1', port, expected, count, prefix = [] }: ClientsOptions) {
    const script = join(import.meta.dirname, 'clients-process.ts');
    const [program = '', ...args] = [
      ...prefix,
      process.execPath,
      script,
      host,
      `${port}`,
      sha256(expected),
      `${count}`,
    ];
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface(child.stdout).on('line', (failure) => {
      this.requests += 1;
      if (failure !== '') this.failures.push(failure);
    });
    this.#process = child;
  }

  /** Resolves when so many more requests have got their answer. */
  async answered(count: number): Promise<void> {
    const until = this.requests - this.failures.length + count;
    while (this.requests - this.failures.length < until) await sleep(5);
  }

  /** Resolves when those under way have their answers, too. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'close');
    this.#process.stdin?.end();
    await ended;
  }
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
