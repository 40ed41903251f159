// What a connection costs the relay with few and with very many others open, beside haproxy, and what an enclave costs the services
// with none and with three others: `node bench/scale/main.ts [rounds]`. Flat is the aim: what others do is no business of a connection.
// Client, relay and server share one CPU. Prints a table to stdout.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from '../harness/compiled.ts';
import { MOST_CONNECTIONS } from '../harness/connections.ts';
import { answers, CPU, Pinned, ready } from '../harness/pinned.ts';
import { anonymousBytes, cpuSeconds } from '../harness/process-cost.ts';
import { summaryTable } from '../harness/table.ts';
import { type Peer, peers } from '../relay/peers.ts';
import { publish, type Result, roundsOf } from '../results.ts';
import { type EnclaveCost, MOST_ENCLAVES, measureEnclaves, slopeOf } from './enclaves.ts';

const [SERVER_PORT, PORT] = [22_500, 22_501];
const OPEN = [10, 100, 1_000, MOST_CONNECTIONS] as const;
const NEW_CONNECTIONS = 2_000;
/** Of what a connection costs with the fewest others open. */
const FLAT = 0.8;

const rounds = roundsOf(process.argv[2], 5);
const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const program = compiled('relay/load.c');
const processes = new Pinned();
const pinned = (...command: string[]): ChildProcess => processes.start(command);

function load(...words: (string | number)[]): number[] {
  const args = ['-c', CPU, program, ...words.map(String)];
  return execFileSync('taskset', args, { encoding: 'utf8', timeout: 60_000 }).trim().split(' ').map(Number);
}

interface Cost {
  /** µs of the relay for a connection, an echo, and its end. */
  micros: number;
  /** µs to the answer of an echo, median. */
  echo: number;
  bytes: number;
}

/** With a relay of its own, so that the memory of one does not hide that of the next. */
async function measure(peer: Peer, target: string, open: number): Promise<Cost> {
  const relay = pinned(...peer.command(PORT, target, folder));
  const pid = relay.pid as number;
  await answers(PORT);
  load('rate', PORT, 16, 500);
  const before = anonymousBytes(pid);
  const holder = pinned(program, 'idle', String(PORT), String(open));
  await ready(holder);
  await sleep(300);
  const bytes = (anonymousBytes(pid) - before) / open;
  const [echo = Number.NaN] = load('rtt', PORT, 1, 0.3);
  const begun = cpuSeconds(pid);
  load('rate', PORT, 16, NEW_CONNECTIONS);
  const micros = ((cpuSeconds(pid) - begun) * 1e6) / NEW_CONNECTIONS;
  await processes.end(holder);
  await processes.end(relay);
  return { micros, echo, bytes };
}

const beside = peers
  .filter(({ name, needs }) => needs === undefined && /^(ours, native|haproxy)/i.test(name))
  .slice(0, 2);
const costs = new Map<string, Cost[][]>(beside.map(({ name }) => [name, OPEN.map(() => [])]));
/** Boots are slow under emulation: of those a fifth of the rounds. */
async function enclaveResults(): Promise<Result[]> {
  const all: EnclaveCost[][] = [];
  for (let left = Math.ceil(rounds / 5); left > 0; left--) all.push(await measureEnclaves());
  const row = (
    metric: string,
    unit: string,
    pick: (cost: EnclaveCost) => number,
    rest: Partial<Result> = {},
  ): Result => {
    const samples = { ours: all.map((costs) => slopeOf(costs.map(pick))) };
    return { metric, unit, better: 'less', samples, ...rest };
  };
  const boots = (index: number): number[] => all.map((costs) => costs.at(index)?.boot ?? Number.NaN);
  return [
    row(`one more of ${MOST_ENCLAVES} enclaves: memory of the services`, 'MiB', ({ memory }) => memory),
    row(`one more of ${MOST_ENCLAVES} enclaves: CPU of the services`, 'ms/s', ({ cpu }) => cpu),
    row(`boot with ${MOST_ENCLAVES - 1} other enclaves beside none`, 'ms', ({ boot }) => boot, {
      samples: { ours: boots(-1), 'the first': boots(0) },
      goal: { ratio: FLAT },
    }),
  ];
}

try {
  const target = join(folder, 'server.sock');
  await ready(pinned(program, 'server', target, String(SERVER_PORT)));
  for (let round = 1; round <= rounds; round++) {
    for (const [index, open] of OPEN.entries())
      for (const peer of beside) costs.get(peer.name)?.[index]?.push(await measure(peer, target, open));
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const samplesOf = (index: number, pick: (cost: Cost) => number): Record<string, number[]> =>
    Object.fromEntries([...costs].map(([name, points]) => [name, (points[index] ?? []).map(pick)]));
  const results = OPEN.flatMap((open, index): Result[] => [
    {
      metric: `CPU of a connection, ${open} others open`,
      unit: 'µs',
      better: 'less',
      samples: samplesOf(index, ({ micros }) => micros),
    },
    {
      metric: `median echo, ${open} others open`,
      unit: 'µs',
      better: 'less',
      samples: samplesOf(index, ({ echo }) => echo),
    },
  ]);
  const [ours = []] = costs.values();
  const micros = (index: number): number[] => (ours.at(index) ?? []).map((cost) => cost.micros);
  results.push(
    {
      metric: `memory of one of ${OPEN.at(-1)} open`,
      unit: 'bytes',
      better: 'less',
      samples: samplesOf(OPEN.length - 1, ({ bytes }) => bytes),
      goal: { value: 256 },
    },
    {
      metric: `CPU of a connection with ${OPEN.at(-1)} others beside ${OPEN[0]}`,
      unit: 'µs',
      better: 'less',
      samples: { ours: micros(-1), 'ours with few': micros(0) },
      goal: { ratio: FLAT },
    },
  );
  results.push(...(await enclaveResults()));
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['scale', results]]))}\n`);
} finally {
  processes[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
