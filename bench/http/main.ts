// The HTTP mode of the outer-proxy beside others and beside its own TCP mode: `node bench/http/main.ts [rounds]`. Clients, proxy and server share
// one CPU, so that a figure is the total cost; rounds alternate. TCP stands in the place of the vsock, for all alike.
// Prints a table in Markdown, with ratios, to stdout.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, Pinned } from '../harness/pinned.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { peers } from './peers.ts';

const SERVER_PORT = 22_300;
const CLIENTS = 16;
/** Requests of each load: a second or two of ours. */
const LOADS = { kept: 8_000, fresh: 1_600 } as const;
const NAMES = Object.keys(LOADS) as (keyof typeof LOADS)[];
const HEADS = { kept: 'requests/s, client’s connection kept', fresh: 'requests/s, each on a new connection' };

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const program = compiled('egress/load.c');
const pinned = new Pinned();

const rounds = roundsOf(process.argv[2], 5);
try {
  pinned.start([program, 'server', String(SERVER_PORT)]);
  await answers(SERVER_PORT);
  const present = peers.filter(({ needs }) => needs === undefined);
  const runs = present.map(({ name }, index) => ({
    name,
    port: SERVER_PORT + 1 + index,
    samples: { kept: [] as number[], fresh: [] as number[] },
  }));
  for (const [index, peer] of present.entries()) {
    const port = SERVER_PORT + 1 + index;
    pinned.start(peer.command(port, SERVER_PORT, folder));
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
  publish(
    NAMES.map((name) => ({
      metric: `requests, ${name}`,
      unit: '1/s',
      better: 'more',
      samples: Object.fromEntries(runs.map((run) => [run.name, run.samples[name]])),
    })),
  );
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
  pinned[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
