import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../src/main.ts');

/** An outer-proxy as a process of its own, as it is in earnest. */
export class ProxyProcess {
  readonly process: ChildProcess;
  readonly #lines: { msg: string }[] = [];
  readonly #waiting = new Set<() => void>();

  /** What came on stdout. */
  output = '';

  /** `wrapper`: a command that runs it. */
  constructor(env: Record<string, string>, wrapper: string[] = []) {
    const [command = process.execPath, ...args] = [...wrapper, process.execPath, MAIN];
    this.process = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout?.setEncoding('utf8').on('data', (data: string) => {
      this.output += data;
    });
    let text = '';
    this.process.stderr?.setEncoding('utf8').on('data', (data: string) => {
      const lines = (text + data).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#lines.push(JSON.parse(line));
      for (const look of this.#waiting) look();
    });
  }

  async says(message: string): Promise<void> {
    const said = Promise.withResolvers<void>();
    const look = () => this.#lines.some(({ msg }) => msg === message) && said.resolve();
    this.#waiting.add(look);
    look();
    await said.promise;
    this.#waiting.delete(look);
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    this.process.kill(signal);
    await once(this.process, 'exit');
    return this.process.exitCode;
  }
}
