// One relay hop, TCP client → relay → Unix server, ours beside others: `node bench/relay/main.ts [rounds] [names, as a pattern]`.
// Client, relay and server share one CPU, so that a figure is the total cost; rounds alternate between the relays, and
// medians are compared within one run only. Prints a table in Markdown, with ratios, to stdout.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, Pinned, ready } from '../harness/pinned.ts';
import { anonymousBytes, cpuSeconds } from '../harness/process-cost.ts';
import { publish, type Result, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { type Peer, peers } from './peers.ts';

const BULK_1 = 1024 ** 3;
const BULK_8 = 128 * 1024 ** 2;
const RTT_SECONDS = 0.5;
/** The kernel's connection tracking keeps each for two minutes and drops SYNs when its table is full: keep the total low. */
const RATE_CONNECTIONS = 3000;
const IDLE_CONNECTIONS = 2000;
const FIRST_PORT = 21_000;

const METRICS = [
  'up1',
  'down1',
  'up8',
  'down8',
  'p50',
  'p99',
  'p50x64',
  'p99x64',
  'rate',
  'cpuUp',
  'cpuDown',
  'cpuConn',
] as const;
type Metric = (typeof METRICS)[number];
/** Metrics where less is better. */
const LESS: readonly Metric[] = ['p50', 'p99', 'p50x64', 'p99x64', 'cpuUp', 'cpuDown', 'cpuConn'];
interface Running {
  readonly name: string;
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
  const [p50, p99] = load(running, 'rtt', 1, RTT_SECONDS) as [number, number];
  const [p50x64, p99x64] = load(running, 'rtt', 64, RTT_SECONDS) as [number, number];
  const before = cpuOf(running.pid);
  const [rate] = load(running, 'rate', 16, RATE_CONNECTIONS) as [number];
  add('cpuConn', ((cpuOf(running.pid) - before) / RATE_CONNECTIONS) * 1e6);
  for (const [metric, value] of Object.entries({ p50, p99, p50x64, p99x64, rate })) add(metric as Metric, value);
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

const median = (values: readonly number[]): number => summarize(values).median;

function show(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

function table(runs: readonly Running[]): string {
  const rows = runs.map((run) => {
    const m = Object.fromEntries(METRICS.map((metric) => [metric, median(run.samples[metric])])) as Record<
      Metric,
      number
    >;
    const cells = [
      `${show(m.up1, 2)} / ${show(m.down1, 2)}`,
      `${show(m.up8, 2)} / ${show(m.down8, 2)}`,
      `${show(m.cpuUp, 2)} / ${show(m.cpuDown, 2)}`,
      `${show(m.p50, 1)} / ${show(m.p99, 1)}`,
      `${show(m.p50x64, 0)} / ${show(m.p99x64, 0)}`,
      `${show(m.rate / 1000, 1)} k`,
      show(m.cpuConn, 0),
      show(run.idleBytes, 0),
    ];
    return `| ${run.name} | ${cells.join(' | ')} |`;
  });
  return [
    '| | 1 up / down, GB/s | 8 up / down, GB/s | relay CPU s per GB up / down | 1 conn p50 / p99 µs | 64 conn p50 / p99 µs | conn/s | relay CPU µs per connection | bytes per idle connection |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** How many times better than each other the first is; 1.00 is a tie, and so is anything within 10 %. */
function ratios(runs: readonly Running[]): string {
  const [first, ...others] = runs.filter((run) => run.name !== 'direct');
  if (!first) return '';
  const shown = METRICS.filter((metric) => !metric.startsWith('cpu'));
  const row = (run: Running): string => {
    const cells = shown.map((metric) => {
      const [mine, its] = [median(first.samples[metric]), median(run.samples[metric])];
      return show(LESS.includes(metric) ? its / mine : mine / its, 2);
    });
    return `| ${run.name} | ${cells.join(' | ')} |`;
  };
  return [
    `| ${first.name} against | ${shown.join(' | ')} |`,
    `| --- |${' --- |'.repeat(shown.length)}`,
    ...others.map(row),
  ].join('\n');
}

/** Ours, accepted natively, beside the best of HAProxy and nginx, tuned or not. */
const GOALS: readonly { metric: Metric; what: string; unit: string; ratio: number }[] = [
  { metric: 'up1', what: 'bulk up, 1 stream', unit: 'GB/s', ratio: 1 },
  { metric: 'down1', what: 'bulk down, 1 stream', unit: 'GB/s', ratio: 1 },
  { metric: 'up8', what: 'bulk up, 8 streams', unit: 'GB/s', ratio: 1 },
  { metric: 'down8', what: 'bulk down, 8 streams', unit: 'GB/s', ratio: 1 },
  { metric: 'p50', what: 'median echo, 1 connection', unit: 'µs', ratio: 1 },
  { metric: 'p99', what: 'p99 of echoes, 1 connection', unit: 'µs', ratio: 1 },
  { metric: 'p99x64', what: 'p99 of echoes, 64 connections', unit: 'µs', ratio: 1 },
  { metric: 'rate', what: 'new connections', unit: '1/s', ratio: 1.1 },
];

function results(runs: readonly Running[]): Result[] {
  const relays = runs.filter(({ name }) => name !== 'direct');
  const samplesOf = (metric: Metric, of: readonly Running[]): Result['samples'] =>
    Object.fromEntries(of.map(({ name, samples }) => [name, samples[metric]]));
  const [ours] = relays;
  const native = relays.filter((run) => run === ours || !run.name.startsWith('ours'));
  const peers = native.map(({ name }) => name).filter((name) => /^(HAProxy|nginx)/.test(name));
  const decided = relays.find(({ name }) => name === 'ours, JavaScript decides');
  return [
    ...GOALS.map(
      ({ metric, what, unit, ratio }): Result => ({
        metric: what,
        unit,
        better: LESS.includes(metric) ? 'less' : 'more',
        samples: samplesOf(metric, native),
        goal: { ratio, beside: metric === 'rate' ? peers.filter((name) => name.startsWith('HAProxy')) : peers },
      }),
    ),
    ...(decided === undefined
      ? []
      : [
          {
            metric: 'new connections, JavaScript decides',
            unit: '1/s',
            better: 'more',
            samples: samplesOf('rate', [decided, ...native.filter((run) => run !== ours)]),
            goal: { ratio: 0.8, beside: peers.filter((name) => name.startsWith('HAProxy')) },
          } as const,
        ]),
  ];
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
  process.stdout.write(`${table(runs)}\n\n${ratios(runs)}\n`);
  if (missing.length > 0) process.stdout.write(`\nNot measured, because not installed: ${missing.join(', ')}\n`);
} finally {
  pinned[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
