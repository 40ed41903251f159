/**
 * What an enclave keeps beside a hostile one, of what it has beside one like itself: bytes of eight downloads, and the latency of
 * small requests while the others download. It is the outer-proxy that shall share, so it has to be what all wait for, as where
 * clients, enclaves and servers have processors of their own: it has one CPU, of which another program takes nine tenths
 * while bytes are counted, and they are counted by the processor time that it has had; all the rest has the other CPU.
 * `node bench/fairness/main.ts [ROUNDS]`, default 3; prints tables in Markdown.
 */
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { kinds, Neighbours, named, type Pair } from './neighbours.ts';
import { inOwnNetwork } from './own-network.ts';

/** Two hold for the smallest host, four are what a host of Nitro takes at most. */
const ENCLAVES = [2, 4];
const rounds = roundsOf(process.argv[2], 3);

function show(figures: number[], digits: number): string {
  const { median, min, max } = summarize(figures);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}

const columns: readonly (readonly [string, (pair: Pair) => number, number])[] = [
  ['kept of the share, %', ({ equal, beside }) => (beside.bulk / equal.bulk) * 100, 0],
  ['MB a CPU second of another', ({ beside }) => beside.bulk, 0],
  ['of the last', ({ beside }) => beside.last, 0],
  ['relay’s work for the last, %', ({ beside }) => beside.lastTime * 100, 0],
  ['outer-proxy idle, %', ({ beside }) => beside.idle * 100, 0],
  ['p50, ×', ({ equal, beside }) => beside.p50 / equal.p50, 2],
  ['p99, ×', ({ equal, beside }) => beside.p99 / equal.p99, 2],
  ['p50, µs', ({ beside }) => beside.p50, 0],
  ['p99, µs', ({ beside }) => beside.p99, 0],
];

async function measure(enclaves: number): Promise<void> {
  using neighbours = await Neighbours.of(enclaves);
  const found = new Map(kinds.map((kind) => [kind, [] as Pair[]]));
  for (let round = 0; round < rounds; round++)
    for (const [kind, pairs] of found) pairs.push(await neighbours.measure(kind));
  process.stdout.write(`| the last of ${enclaves} has | ${columns.map(([name]) => name).join(' | ')} |\n`);
  process.stdout.write(`| --- |${' --- |'.repeat(columns.length)}\n`);
  for (const [kind, pairs] of found) {
    const cells = columns.map(([, of, digits]) => show(pairs.map(of), digits));
    process.stdout.write(`| ${named[kind]} | ${cells.join(' | ')} |\n`);
    const samples = { ours: pairs.map(({ beside }) => beside.bulk), 'all alike': pairs.map(({ equal }) => equal.bulk) };
    const metric = `one of ${enclaves} enclaves; the last has ${named[kind]}`;
    publish([{ metric, unit: 'MB/CPU s', better: 'more', samples, goal: { ratio: 0.9 } }]);
  }
}

if (inOwnNetwork()) for (const enclaves of ENCLAVES) await measure(enclaves);
