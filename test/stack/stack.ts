import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;

/**
 * A private stack for a whole test file, so that each `enclaver run` in it does not start its own. It runs in its own mount
 * namespace, where /etc/hosts has the names that the tests use: they need no name server and change nothing outside.
 */
export class TestStack implements AsyncDisposable {
  readonly dir: string;
  readonly #process: ChildProcess;

  private constructor(dir: string, process: ChildProcess) {
    this.dir = dir;
    this.#process = process;
  }

  static async start(hosts: Readonly<Record<string, string>> = {}, env: NodeJS.ProcessEnv = {}): Promise<TestStack> {
    const dir = await mkdtemp(join(tmpdir(), 'enclaver-test-'));
    const hostsFile = join(dir, 'hosts');
    const lines = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(([name, address]) => `${address} ${name}\n`);
    await writeFile(hostsFile, lines.join(''));
    const script = 'mount --bind "$1" /etc/hosts && exec "$2" up --private "$3"';
    const stack = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', hostsFile, command, dir], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    const ready = await Promise.race([once(stack.stdout, 'data'), once(stack, 'exit').then(() => undefined)]);
    if (ready === undefined) throw new Error('the stack ended before it was ready');
    return new TestStack(dir, stack);
  }

  /** Environment with which a command uses this stack. */
  get env(): NodeJS.ProcessEnv {
    return { ENCLAVER_BUS: this.busFile };
  }

  get busFile(): string {
    return join(this.dir, 'bus', 'cli.json');
  }

  /** Where the builder keeps what it makes. */
  get dataDir(): string {
    return join(this.dir, 'data');
  }

  /** Of `enclaver up`, which has started all others. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get logFile(): string {
    return join(this.dir, 'stack.log');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
  }
}
