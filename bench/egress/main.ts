// The egress proxy beside others: `node bench/egress/main.ts [rounds]`. Ours is both halves, odyn and the outer-proxy, with
// a Unix socket in the place of the vsock: two hops; the others are measured with one and with two. Clients, proxy and server share one CPU, so
// that a figure is the total cost; rounds alternate between the proxies. Prints a table in Markdown, with ratios, to stdout.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, Pinned, ready } from '../harness/pinned.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { type Peer, peers } from './peers.ts';

const FIRST_PORT = 22_000;
/** Clients and amount of each load; what is counted in requests takes a second or two. */
const LOADS = {
  connect: { unit: 'tunnels/s', clients: 16, amount: 1_600 },
  bulk: { unit: 'GB/s in 4 tunnels', clients: 4, amount: 256 * 1024 ** 2 },
  kept: { unit: 'requests/s, client’s connection kept', clients: 16, amount: 4_000 },
  fresh: { unit: 'requests/s, each on a new connection', clients: 16, amount: 1_600 },
} as const;
type Load = keyof typeof LOADS;
const NAMES = Object.keys(LOADS) as Load[];

interface Running {
  readonly name: string;
  readonly port: number;
  readonly samples: Record<Load, number[]>;
}

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const program = compiled('egress/load.c');
const pinned = new Pinned();

async function start(peer: Peer, port: number): Promise<Running> {
  for (const { command, port: asked } of peer.programs(port, folder)) {
    const child = pinned.start(command);
    await (asked === undefined ? ready(child) : answers(asked));
  }
  return { name: peer.name, port, samples: { connect: [], bulk: [], kept: [], fresh: [] } };
}

function measure({ port, samples }: Running): void {
  for (const name of NAMES) {
    const { clients, amount } = LOADS[name];
    const words = [name, port, FIRST_PORT, clients, amount].map(String);
    const output = execFileSync('taskset', ['-c', CPU, program, ...words], { encoding: 'utf8', timeout: 120_000 });
    samples[name].push(Number(output) / (name === 'bulk' ? 1e9 : 1));
  }
}

function table(runs: readonly Running[]): string {
  const [first] = runs;
  const rows = runs.map((run) => {
    const cells = NAMES.map((name) => {
      const { median, min, max } = summarize(run.samples[name]);
      const digits = name === 'bulk' ? 2 : 0;
      const ratio = summarize(first?.samples[name] ?? []).median / median;
      const against = run === first ? '' : `; ours ${ratio.toFixed(2)} ×`;
      return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]${against}`;
    });
    return `| ${run.name} | ${cells.join(' | ')} |`;
  });
  const heads = NAMES.map((name) => LOADS[name].unit);
  return [`| | ${heads.join(' | ')} |`, `| --- |${' --- |'.repeat(heads.length)}`, ...rows].join('\n');
}

if (!existsSync('/usr/bin/taskset')) throw new Error('taskset is missing; install util-linux');
const rounds = roundsOf(process.argv[2], 5);
try {
  await ready(pinned.start([program, 'server', String(FIRST_PORT)]));
  const runs: Running[] = [];
  const missing: string[] = [];
  let port = FIRST_PORT;
  for (const peer of peers) {
    port++;
    if (peer.needs === undefined) runs.push(await start(peer, port));
    else missing.push(`${peer.name} (install ${peer.needs})`);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const run of runs) measure(run);
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  process.stdout.write(`${table(runs)}\n`);
  // Ours has two hops, and the goal is against others with two
  const twoHops = runs.map(({ name }) => name).filter((name) => name.endsWith('in a row'));
  publish(
    NAMES.map((load) => ({
      metric: load === 'bulk' ? 'bytes in 4 tunnels' : load === 'connect' ? 'tunnels' : `requests, ${load}`,
      unit: load === 'bulk' ? 'GB/s' : '1/s',
      better: 'more',
      samples: Object.fromEntries(runs.map(({ name, samples }) => [name, samples[load]])),
      goal: { ratio: 1, beside: twoHops },
    })),
  );
  if (missing.length > 0) process.stdout.write(`\nNot measured, because not installed: ${missing.join(', ')}\n`);
} finally {
  pinned[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
