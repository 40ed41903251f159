// One relay hop, TCP client → relay → Unix server, ours beside others: `node bench/relay/main.ts [rounds] [names, as a pattern]`.
// Client, relay and server share one CPU, so that a figure is the total cost; rounds alternate between the relays, and
// medians are compared within one run only. Prints tables in Markdown, the last with the goals, to stdout.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, Pinned, ready } from '../harness/pinned.ts';
import { anonymousBytes, cpuSeconds } from '../harness/process-cost.ts';
import { publish, roundsOf } from '../results.ts';
import { ECHOES, echoMetric, METRICS, type Measured, type Metric, PERCENTILES, results } from './metrics.ts';
import { type Peer, peers } from './peers.ts';
import { tables } from './table.ts';

const BULK_1 = 1024 ** 3;
const BULK_8 = 128 * 1024 ** 2;
const RTT_SECONDS = 0.5;
/** The kernel's connection tracking keeps each for two minutes and drops SYNs when its table is full: keep the total low. */
const RATE_CONNECTIONS = 3000;
const IDLE_CONNECTIONS = 2000;
const FIRST_PORT = 21_000;

interface Running extends Measured {
  readonly port: number;
  readonly pid: number | undefined;
  readonly screens: boolean;
  readonly samples: Record<Metric, number[]>;
  idleBytes: number;
}

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const target = join(folder, 'server.sock');
const loadProgram = compiled('relay/load.c');
const pinned = new Pinned();

/** Environment of the load program. */
function environment(screens: boolean): NodeJS.ProcessEnv {
  return screens ? { ...process.env, LOAD_PROXY_HEADER: '1' } : process.env;
}

function load({ screens, port }: Running, mode: string, ...args: number[]): number[] {
  const output = execFileSync('taskset', ['-c', CPU, loadProgram, mode, ...[port, ...args].map(String)], {
    encoding: 'utf8',
    env: environment(screens),
    timeout: 120_000,
  });
  return output.trim().split(' ').map(Number);
}

/** There is no relay in `direct`, and what forks has no one process. */
const cpuOf = (pid: number | undefined): number => (pid === undefined ? Number.NaN : cpuSeconds(pid));

function measure(running: Running): void {
  const add = (metric: Metric, value: number): number => running.samples[metric].push(value);
  const bulk = (direction: 'up' | 'down'): void => {
    const before = cpuOf(running.pid);
    const [one] = load(running, direction, 1, BULK_1) as [number];
    add(direction === 'up' ? 'cpuUp' : 'cpuDown', (cpuOf(running.pid) - before) / (BULK_1 / 1e9));
    add(`${direction}1`, one / 1e9);
    const [eight] = load(running, direction, 8, BULK_8) as [number];
    add(`${direction}8`, eight / 1e9);
  };
  bulk('up');
  bulk('down');
  for (const echo of ECHOES) {
    const times = load(running, 'rtt', echo.connections, RTT_SECONDS, echo.bytes);
    for (const [i, of] of PERCENTILES.entries()) add(echoMetric(echo, of), times[i] as number);
  }
  const before = cpuOf(running.pid);
  const [rate] = load(running, 'rate', 16, RATE_CONNECTIONS) as [number];
  add('cpuConn', ((cpuOf(running.pid) - before) / RATE_CONNECTIONS) * 1e6);
  add('rate', rate);
}

/** Growth of the relay's own memory per open connection that does nothing. */
async function idle(running: Running): Promise<number> {
  if (running.pid === undefined) return Number.NaN;
  const before = anonymousBytes(running.pid);
  const command = [loadProgram, 'idle', String(running.port), String(IDLE_CONNECTIONS)];
  const holder = await ready(pinned.start(command, { env: environment(running.screens) }));
  await sleep(500);
  const grown = anonymousBytes(running.pid) - before;
  holder.stdin?.end();
  await once(holder, 'exit');
  await sleep(300);
  return grown / IDLE_CONNECTIONS;
}

function fresh(name: string, port: number, pid: number | undefined, screens = false): Running {
  const samples = Object.fromEntries(METRICS.map((metric) => [metric, [] as number[]])) as Record<Metric, number[]>;
  return { name, port, pid, screens, samples, idleBytes: Number.NaN };
}

async function start(peer: Peer, port: number): Promise<Running> {
  const child = pinned.start(peer.command(port, target, folder));
  await answers(port);
  return fresh(peer.name, port, peer.name.startsWith('socat') ? undefined : child.pid, peer.screens);
}

if (!existsSync('/usr/bin/taskset')) throw new Error('taskset is missing; install util-linux');
const rounds = roundsOf(process.argv[2], 5);

try {
  await ready(pinned.start([loadProgram, 'server', target, String(FIRST_PORT)]));
  const runs = [fresh('direct', FIRST_PORT, undefined)];
  const missing: string[] = [];
  let port = FIRST_PORT;
  const named = new RegExp(process.argv[3] ?? '');
  for (const peer of peers.filter(({ name }) => named.test(name))) {
    port++;
    if (peer.needs) missing.push(`${peer.name} (install ${peer.needs})`);
    else runs.push(await start(peer, port));
  }
  for (const run of runs) if (run.name !== 'direct') run.idleBytes = await idle(run);
  for (let round = 1; round <= rounds; round++) {
    for (const run of runs) measure(run);
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  publish(results(runs));
  process.stdout.write(`${tables(runs)}\n`);
  if (missing.length > 0) process.stdout.write(`\nNot measured, because not installed: ${missing.join(', ')}\n`);
} finally {
  pinned[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
