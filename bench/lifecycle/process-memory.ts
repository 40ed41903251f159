import { readdir, readFile } from 'node:fs/promises';
import type { Bus } from '@enclaver/bus';

/** Of what runs outside of enclaves, for all of them together. */
export const OUTSIDE = ['nats-server', 'log-relay', 'outer-proxy', 'builder', 'supervisor'];

/** V8 gives back within that what a start took. */
export const SETTLE_MS = 10_000;

export interface ProcessMemory {
  name: string;
  pid: number;
  /** Resident, MiB. */
  rss: number;
  /** Resident with shared pages divided among their users, MiB. */
  pss: number;
  /** Of that not backed by a file, MiB. */
  anonymous: number;
}

/** Memory of every process of the stack in `stackDir`: those that have it in their arguments or environment. */
export async function stackMemory(stackDir: string): Promise<ProcessMemory[]> {
  const found: ProcessMemory[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const args = (await textOf(`/proc/${pid}/cmdline`)).split('\0');
    const environment = await textOf(`/proc/${pid}/environ`);
    const belongs = args.some((arg) => arg.includes(stackDir)) || environment.includes(`=${stackDir}/`);
    const rollup = await textOf(`/proc/${pid}/smaps_rollup`);
    if (!belongs || rollup === '') continue;
    found.push({
      name: nameOf(args),
      pid,
      rss: mebibytes(rollup, 'Rss'),
      pss: mebibytes(rollup, 'Pss'),
      anonymous: mebibytes(rollup, 'Pss_Anon'),
    });
  }
  return found;
}

/** What odyn in the guest says of itself when it is ready, MiB. */
export async function odynMemory(bus: Bus, id: string): Promise<{ resident: number; anonymous: number }> {
  for await (const { lines } of bus.logs({ id, streams: ['odyn'], follow: true })) {
    const ready = lines.map(({ text }) => JSON.parse(text)).find(({ msg }) => msg === 'ready');
    if (ready === undefined) continue;
    return { resident: ready.residentBytes / 2 ** 20, anonymous: ready.anonymousBytes / 2 ** 20 };
  }
  throw new Error('odyn was never ready');
}

function nameOf(args: readonly string[]): string {
  const main = args.find((arg) => arg.endsWith('/src/main.ts'));
  if (main === undefined) return args[0]?.split('/').at(-1) ?? '?';
  const room = main.split('/').at(-3) ?? '?';
  return room === 'cli' ? `enclaver ${args[args.indexOf(main) + 1]}` : room;
}

function mebibytes(rollup: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) / 1024;
}

/** Text of a file in /proc, empty for a process that has just ended or is not ours. */
async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH' || error.code === 'EACCES') return '';
    throw error;
  });
}
