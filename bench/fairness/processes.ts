import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What shall share has one CPU, all the rest the other. */
export const [REST_CPU, SHARED_CPU] = [0, 1];
/** Of what takes nine tenths of a CPU from a process, by the weights that the kernel gives to priorities. */
const BUSY = -10;

/** Processes, each on a CPU and with a priority, that end with this object. */
export class Processes implements Disposable {
  readonly #children = new Set<ChildProcess>();

  start(cpu: number, nice: number, ...command: (string | number)[]): ChildProcess {
    const words = ['-c', cpu, 'nice', '-n', nice, ...command].map(String);
    const child = spawn('taskset', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Takes most of what there is of the CPU that is shared. */
  keepBusy(): ChildProcess {
    return this.start(SHARED_CPU, BUSY, 'sh', '-c', 'while :; do :; done');
  }

  async end(child: ChildProcess): Promise<void> {
    if (!this.#children.has(child)) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

export function prioritize(child: ChildProcess | undefined, nice: number): void {
  execFileSync('renice', ['-n', String(nice), '-p', String(child?.pid)], { stdio: 'ignore' });
}

/** The next line that it says. */
export async function line(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [text] = await once(lines, 'line');
  lines.close();
  return text as string;
}

/** What the threads of a process had of a processor, and what they waited for one, in s. */
export function scheduled(child: ChildProcess): { ran: number; waited: number } {
  let [ran, waited] = [0, 0];
  for (const task of readdirSync(`/proc/${child.pid}/task`)) {
    const [run = 0, wait = 0] = readFileSync(`/proc/${child.pid}/task/${task}/schedstat`, 'utf8')
      .split(' ')
      .map(Number);
    ran += run / 1e9;
    waited += wait / 1e9;
  }
  return { ran, waited };
}
