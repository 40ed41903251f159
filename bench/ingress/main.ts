// The whole way in: client → the outer-proxy's relay → odyn → app, with a Unix socket in the place of the vsock, beside two socat in a
// row and the app itself: `node bench/ingress/main.ts [rounds]`. Clients, proxies and app share one CPU, so that a figure is the total
// cost; rounds alternate. There are two apps for HTTP: one in C that costs next to nothing, which shows what the way costs, and an
// ordinary one, which shows what it takes from an app. Prints tables in Markdown to stdout.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, NODE, Pinned, ready } from '../harness/pinned.ts';
import { cpuSeconds } from '../harness/process-cost.ts';
import { missingPackage, SOCAT } from '../harness/programs.ts';
import { summaryTable } from '../harness/table.ts';
import { type Goal, publish, type Result, roundsOf } from '../results.ts';

/** Of the apps: HTTP in C and in Node, and bytes. */
const [HTTP_PORT, NODE_PORT, BULK_PORT] = [22_400, 22_401, 22_402];
const PORTS = [HTTP_PORT, NODE_PORT, BULK_PORT];
const [OURS_PORT, SOCAT_PORT] = [22_410, 22_420];
const CLIENTS = 16;
/** `http`: how the load's clients ask, each for 64 bytes; bulk otherwise. */
const LOADS = {
  kept: {
    metric: 'HTTP requests to an app in C, connection kept',
    unit: '1/s',
    port: HTTP_PORT,
    http: 'kept',
    words: [CLIENTS, 16_000],
  },
  fresh: {
    metric: 'HTTP requests to an app in C, each on a new connection',
    unit: '1/s',
    port: HTTP_PORT,
    http: 'fresh',
    words: [CLIENTS, 3_200],
  },
  appKept: {
    metric: 'HTTP requests to node:http, connection kept',
    unit: '1/s',
    port: NODE_PORT,
    http: 'kept',
    words: [CLIENTS, 16_000],
  },
  appFresh: {
    metric: 'HTTP requests to node:http, each on a new connection',
    unit: '1/s',
    port: NODE_PORT,
    http: 'fresh',
    words: [CLIENTS, 3_200],
  },
  up: { metric: 'bulk up, 8 streams', unit: 'GB/s', port: BULK_PORT, http: undefined, words: [8, 128 * 2 ** 20] },
  down: { metric: 'bulk down, 8 streams', unit: 'GB/s', port: BULK_PORT, http: undefined, words: [8, 128 * 2 ** 20] },
} as const;
type Load = keyof typeof LOADS;
/**
 * 0.8 times direct is asked of the ordinary app: two processes more on one CPU, which take in and give out each byte, cannot be as quick as
 * none beside one that does nothing. For bulk there is no goal for the same reason.
 */
const GOALS: Partial<Record<Load, Goal>> = {
  appKept: { ratio: 0.8, beside: ['direct'] },
  fresh: { ratio: 5, beside: ['socat, two in a row'] },
};
/** What an enclave's own processors have to do: clients and the host have theirs, whatever the way. */
const INSIDE = {
  metric: 'HTTP requests to node:http, for a second of processor time inside the enclave',
  unit: '1/s',
  better: 'more',
} as const;
const NAMES = Object.keys(LOADS) as Load[];

const rounds = roundsOf(process.argv[2], 5);
if (missingPackage({ socat: SOCAT }) !== undefined) throw new Error('socat is missing; install socat');
const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const vsock = join(folder, 'vsock');
const processes = new Pinned();
const pinned = (command: string[]): ChildProcess => processes.start(command, { quiet: true });

const programs = { http: compiled('egress/load.c'), bulk: compiled('relay/load.c') };

function measure(port: number, load: Load): number {
  const { words, http } = LOADS[load];
  // The HTTP load has a target in between, 0 for none
  const args = http ? [programs.http, http, port, 0, ...words] : [programs.bulk, load, port, ...words];
  const said = execFileSync('taskset', ['-c', CPU, ...args.map(String)], { encoding: 'utf8', timeout: 120_000 });
  return Number(said) / (http ? 1 : 1e9);
}

try {
  await ready(pinned([programs.http, 'server', String(HTTP_PORT)]));
  await ready(pinned([programs.bulk, 'server', join(folder, 'unused'), String(BULK_PORT)]));
  const app = await ready(pinned([...NODE, join(import.meta.dirname, 'app.ts'), String(NODE_PORT)]));
  const odynPorts = [join(import.meta.dirname, 'odyn-ports.ts'), vsock, ...PORTS.map(String)];
  const odyn = await ready(pinned([...NODE, ...odynPorts]));
  const ours: Record<number, number> = {};
  const socat: Record<number, number> = {};
  for (const [index, port] of PORTS.entries()) {
    ours[port] = OURS_PORT + index;
    const relay = join(import.meta.dirname, '../relay/relay-process.ts');
    await ready(pinned([...NODE, relay, 'native', String(ours[port]), `${vsock}_${port}`]));
    const between = join(folder, `socat-${port}`);
    socat[port] = SOCAT_PORT + index;
    pinned([SOCAT, `UNIX-LISTEN:${between},fork,backlog=1024`, `TCP:127.0.0.1:${port},nodelay`]);
    const listen = `TCP-LISTEN:${socat[port]},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay`;
    pinned([SOCAT, listen, `UNIX-CONNECT:${between}`]);
    await answers(socat[port]);
  }
  const ways: Record<string, Record<number, number>> = {
    ours,
    'socat, two in a row': socat,
    direct: Object.fromEntries(PORTS.map((port) => [port, port])),
  };
  const samples = Object.fromEntries(
    NAMES.map((load) => [load, Object.fromEntries(Object.keys(ways).map((way) => [way, [] as number[]]))]),
  ) as Record<Load, Record<string, number[]>>;
  const inside: Record<string, { pids: (number | undefined)[]; samples: number[] }> = {
    ours: { pids: [app.pid, odyn.pid], samples: [] },
    direct: { pids: [app.pid], samples: [] },
  };
  const secondsOf = (pids: readonly (number | undefined)[]): number =>
    pids.reduce<number>((sum, pid) => sum + cpuSeconds(pid as number), 0);
  for (let round = 1; round <= rounds; round++) {
    for (const load of NAMES)
      for (const [way, ports] of Object.entries(ways)) {
        const costs = load === 'appKept' ? inside[way] : undefined;
        const before = costs && secondsOf(costs.pids);
        samples[load][way]?.push(measure(ports[LOADS[load].port] as number, load));
        if (costs && before !== undefined) costs.samples.push(LOADS[load].words[1] / (secondsOf(costs.pids) - before));
      }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const results = NAMES.map((load): Result => {
    const { metric, unit } = LOADS[load];
    const goal = GOALS[load];
    return { metric, unit, better: 'more', samples: samples[load], ...(goal && { goal }) };
  });
  const costs = Object.entries(inside).map(([way, { samples }]) => [way, samples]);
  results.splice(3, 0, { ...INSIDE, samples: Object.fromEntries(costs) as Record<string, number[]> });
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['ingress', results]]))}\n`);
} finally {
  processes[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
