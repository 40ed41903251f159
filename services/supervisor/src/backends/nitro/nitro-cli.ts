import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import * as z from 'zod';
import { limits } from '../../limits.ts';
import { failureOf, hasFailed } from './failure.ts';
import { NitroError } from './nitro-error.ts';
import {
  type DescribedEnclave,
  describedSchema,
  parseOutput,
  type StartedEnclave,
  startedSchema,
  terminatedSchema,
} from './outputs.ts';

const GIB = 1024 ** 3;
/** nitro-cli waits for the heartbeat so long for each 6 GiB of image, and once more for each 100 GiB of memory. */
const BOOT_STEP_MS = 90_000;

export interface StartRequest {
  name: string;
  eifPath: string;
  eifBytes: number;
  cpuCount: number;
  memoryMb: number;
  cid: number;
  debug: boolean;
}

export type ConsoleProcess = ChildProcessByStdio<null, Readable, null>;

/** The commands of nitro-cli that run enclaves. Never a shell; what they print is bounded, and so is how long they take. */
export class NitroCli {
  readonly #commandMs: number;

  /** `commandMs`: what a command may take but for the wait for the boot. */
  constructor(commandMs: number = limits.nitroCommandMs) {
    this.#commandMs = commandMs;
  }

  /** Returns when the enclave's kernel has reported: nitro-cli itself answers the heartbeat. */
  async start({ name, eifPath, eifBytes, cpuCount, memoryMb, cid, debug }: StartRequest): Promise<StartedEnclave> {
    const values = {
      'eif-path': eifPath,
      memory: memoryMb,
      'cpu-count': cpuCount,
      'enclave-cid': cid,
      'enclave-name': name,
    };
    const args = Object.entries(values).flatMap(([option, value]) => [`--${option}`, String(value)]);
    const timeoutMs = bootMs(eifBytes, memoryMb) + this.#commandMs;
    const stdout = await this.#run('run-enclave', debug ? [...args, '--debug-mode'] : args, timeoutMs);
    return parseOutput('run-enclave', stdout, startedSchema);
  }

  /** All enclaves of this host that this user may see, ours and others'. */
  async describe(): Promise<DescribedEnclave[]> {
    const stdout = await this.#run('describe-enclaves', [], this.#commandMs);
    return parseOutput('describe-enclaves', stdout, z.array(describedSchema));
  }

  async terminate(enclaveId: string): Promise<void> {
    const stdout = await this.#run('terminate-enclave', ['--enclave-id', enclaveId], this.#commandMs);
    if (parseOutput('terminate-enclave', stdout, terminatedSchema).Terminated) return;
    throw new NitroError('NITRO_CLI_OUTPUT', `nitro-cli did not terminate ${enclaveId}`);
  }

  /**
   * The console of an enclave in debug mode, on its stdout until the enclave ends. A console has one reader: this one ends with us, also
   * when we are killed, so that the next supervisor can have it.
   */
  console(enclaveId: string): ConsoleProcess {
    const args = ['--pdeathsig', 'KILL', '--', program(), 'console', '--enclave-id', enclaveId];
    return spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  }

  #run(command: string, args: readonly string[], timeoutMs: number): Promise<string> {
    const child = spawn(program(), [command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // The backtrace has the words of the driver, without which most failures are the same E29
      env: { ...process.env, BACKTRACE: '1' },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    const stdout = headOf(child.stdout);
    const stderr = headOf(child.stderr);
    return new Promise((resolve, reject) => {
      child.once('error', (cause) =>
        reject(new NitroError('NITRO_CLI_MISSING', `nitro-cli did not start: ${cause.message}`, { cause })),
      );
      // Should the process that holds the enclave keep our pipes, they end without it
      let timer: NodeJS.Timeout | undefined;
      child.once('exit', () => {
        timer = setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, limits.nitroPipeMs);
      });
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        // E00 is an error whose exit code is 0
        if (code === 0 && !hasFailed(stderr())) resolve(stdout());
        else if (signal === 'SIGKILL') reject(timedOut(command, timeoutMs, stderr()));
        else reject(failureOf(command, code, stderr()));
      });
    });
  }
}

export function bootMs(eifBytes: number, memoryMb: number): number {
  const image = 1 + Math.floor((eifBytes - 1) / (6 * GIB));
  const memory = 1 + Math.floor((memoryMb * 1024 ** 2 - 1) / (100 * GIB));
  return BOOT_STEP_MS * (image + memory);
}

/** Whether a nitro-cli starts an enclave of this name now, whoever has called it. */
export function isBeingStarted(name: string): boolean {
  return readdirSync('/proc').some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    const args = argumentsOf(entry);
    return args.includes('run-enclave') && args[args.indexOf('--enclave-name') + 1] === name;
  });
}

/** None of a process that has ended. */
function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Full path of nitro-cli. Throws `NITRO_CLI_MISSING`. */
export function program(): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'nitro-cli');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next folder may have it
    }
  }
  throw new NitroError('NITRO_CLI_MISSING', 'nitro-cli is not in the PATH of the supervisor', {
    remedy:
      'install aws-nitro-enclaves-cli, in the image of the supervisor where it runs in a container (docs/nitro.md)',
  });
}

/** Reads a stream to its end and keeps its first bytes: the cause of a failure stands first. */
function headOf(stream: Readable): () => string {
  const parts: Buffer[] = [];
  let left = limits.nitroOutputBytes;
  stream.on('data', (chunk: Buffer) => {
    if (left <= 0) return;
    parts.push(chunk.subarray(0, left));
    left -= chunk.length;
  });
  return () => Buffer.concat(parts).toString('utf8');
}

function timedOut(command: string, timeoutMs: number, stderr: string): NitroError {
  const said = stderr.slice(0, 200).trim();
  return new NitroError(
    'NITRO_CLI_TIMEOUT',
    `nitro-cli ${command} took more than ${timeoutMs} ms${said === '' ? '' : `: ${said}`}`,
    { remedy: 'end the nitro-cli processes that hang; `dmesg` may say why' },
  );
}
