// The HTTP mode of the outer-proxy beside others and beside its own TCP mode: `node bench/http/main.ts [rounds]`. Clients, proxy and server share
// one CPU, so that a figure is the total cost; rounds alternate. TCP stands in the place of the vsock, for all alike.
// Prints a table in Markdown, with ratios, to stdout.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { summarize } from '../statistics.ts';
import { peers } from './peers.ts';

const CPU = String(Math.min(1, cpus().length - 1));
const SERVER_PORT = 22_300;
const CLIENTS = 16;
/** Requests of each load: a second or two of ours. */
const LOADS = { kept: 8_000, fresh: 1_600 } as const;
const NAMES = Object.keys(LOADS) as (keyof typeof LOADS)[];
const HEADS = { kept: 'requests/s, client’s connection kept', fresh: 'requests/s, each on a new connection' };

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const build = join(import.meta.dirname, 'build');
const program = join(build, 'load');
const children: ChildProcess[] = [];

function pinned(command: readonly string[]): ChildProcess {
  const child = spawn('taskset', ['-c', CPU, ...command], { stdio: ['ignore', 'ignore', 'inherit'] });
  children.push(child);
  return child;
}

async function answers(port: number): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (up) return;
    await sleep(25);
  }
  throw new Error(`nothing listens at port ${port}`);
}

const rounds = Number(process.argv[2] ?? 5);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`rounds is ${process.argv[2]}; it is a whole number from 1`);
mkdirSync(build, { recursive: true });
const source = join(import.meta.dirname, '../egress/load.c');
execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source], { stdio: 'inherit' });
try {
  pinned([program, 'server', String(SERVER_PORT)]);
  await answers(SERVER_PORT);
  const present = peers.filter(({ needs }) => needs === undefined);
  const runs = present.map(({ name }, index) => ({
    name,
    port: SERVER_PORT + 1 + index,
    samples: { kept: [] as number[], fresh: [] as number[] },
  }));
  for (const [index, peer] of present.entries()) {
    const port = SERVER_PORT + 1 + index;
    pinned(peer.command(port, SERVER_PORT, folder));
    await answers(port);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const { port, samples } of runs) {
      for (const name of NAMES) {
        const words = [name, port, 0, CLIENTS, LOADS[name]].map(String);
        const output = execFileSync('taskset', ['-c', CPU, program, ...words], { encoding: 'utf8', timeout: 120_000 });
        samples[name].push(Number(output));
      }
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const rows = runs.map((run) => {
    const cells = NAMES.map((name) => {
      const { median, min, max } = summarize(run.samples[name]);
      const ratio = summarize(runs[0]?.samples[name] ?? []).median / median;
      return `${median.toFixed(0)} [${min.toFixed(0)} to ${max.toFixed(0)}]${run === runs[0] ? '' : `; ours ${ratio.toFixed(2)} ×`}`;
    });
    return `| ${run.name} | ${cells.join(' | ')} |`;
  });
  process.stdout.write(
    `| | ${NAMES.map((name) => HEADS[name]).join(' | ')} |\n| --- | --- | --- |\n${rows.join('\n')}\n`,
  );
  const missing = peers.flatMap(({ name, needs }) => (needs === undefined ? [] : [`${name} (install ${needs})`]));
  if (missing.length > 0) process.stdout.write(`\nNot measured, because not installed: ${missing.join(', ')}\n`);
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
