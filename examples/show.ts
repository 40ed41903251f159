import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What the demos share: headings with the time that has passed, and the `enclaver` command as a user calls it. */

const enclaver = new URL('../cli/bin/enclaver', import.meta.url).pathname;
const startedAt = performance.now();

export function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`\n== ${text}  [${seconds} s]\n`);
}

/** Runs a command to its end and shows what it prints; gives its stdout. Throws when it fails. */
export async function command(...args: string[]): Promise<string> {
  const child = spawn(enclaver, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code] = await once(child, 'close');
  const output = Buffer.concat(chunks).toString();
  if (code !== 0) throw new Error(`enclaver ${args[0]} ended with code ${code}: ${output}`);
  return output;
}

export interface RunningEnclave {
  /** Whether it became ready; false when it ended before. */
  readonly ready: boolean;
  stop(): void;
  readonly code: Promise<number | null>;
}

/** `enclaver run`, with its events and log lines as they come; settles once the enclave is ready or has ended. */
export async function runEnclave(eif: string, port: { outside: number; inside: number }): Promise<RunningEnclave> {
  const args = ['run', eif, '-p', `127.0.0.1:${port.outside}:${port.inside}`];
  const run = spawn(enclaver, args, { stdio: ['ignore', 'inherit', 'pipe'] });
  const code = once(run, 'exit').then(([exit]) => exit as number | null);
  const ready = await new Promise<boolean>((resolve) => {
    createInterface(run.stderr).on('line', (line) => {
      process.stdout.write(`${line}\n`);
      if (/ e-[0-9a-f]+ ready/.test(line)) resolve(true);
    });
    void code.then(() => resolve(false));
  });
  return { ready, code, stop: () => void run.kill('SIGTERM') };
}
