import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** The processor that all of a benchmark shares, so that a figure is the total cost; not the first, where most interrupts are. */
export const CPU = String(Math.min(1, cpus().length - 1));

/** Node as enclaves and services are run: `odyn/init/main.c`, `deploy/systemd`. */
export const NODE = [process.execPath, '--max-semi-space-size=1'] as const;

/** Processes on that processor, which end with the benchmark. */
export class Pinned implements Disposable {
  readonly #children = new Set<ChildProcess>();

  /** Its standard output is a pipe, for `ready`. */
  start(
    command: readonly string[],
    options: { cwd?: string; env?: NodeJS.ProcessEnv; quiet?: boolean } = {},
  ): ChildProcess {
    const child = spawn('taskset', ['-c', CPU, ...command], {
      stdio: ['pipe', 'pipe', options.quiet ? 'ignore' : 'inherit'],
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      env: options.env ?? process.env,
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  async end(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      // A process of its own that it leaves behind holds them, and so this one
      child.stdin?.destroy();
      child.stdout?.destroy();
    }
  }
}

/** Resolves when it has said something. */
export async function ready(child: ChildProcess): Promise<ChildProcess> {
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

/** Resolves when something takes connections at a port of loopback. */
export async function answers(port: number): Promise<void> {
  for (let left = 400; left > 0; left--) {
    const socket = connect(port, '127.0.0.1');
    const up = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (up) return;
    await sleep(25);
  }
  throw new Error(`nothing listens at port ${port}`);
}
