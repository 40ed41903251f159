// The whole way in: client → the outer-proxy's relay → odyn → app, with a Unix socket in the place of the vsock, beside two socat in a
// row and the app itself: `node bench/ingress/main.ts [rounds]`. Clients, proxies and app share one CPU, so that a figure is the total
// cost; rounds alternate. Prints a table in Markdown to stdout.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, NODE, Pinned, ready } from '../harness/pinned.ts';
import { summaryTable } from '../harness/table.ts';
import { type Goal, publish, type Result, roundsOf } from '../results.ts';

/** Of the app: one port for HTTP, one for bytes. */
const [HTTP_PORT, BULK_PORT] = [22_400, 22_401];
const [OURS_PORT, SOCAT_PORT] = [22_410, 22_420];
const CLIENTS = 16;
const LOADS = {
  kept: { metric: 'HTTP requests, connection kept', unit: '1/s', words: [CLIENTS, 16_000] },
  fresh: { metric: 'HTTP requests, each on a new connection', unit: '1/s', words: [CLIENTS, 3_200] },
  up: { metric: 'bulk up, 8 streams', unit: 'GB/s', words: [8, 128 * 2 ** 20] },
  down: { metric: 'bulk down, 8 streams', unit: 'GB/s', words: [8, 128 * 2 ** 20] },
} as const;
type Load = keyof typeof LOADS;
/** Bytes that pass two more processes on one CPU cannot be as many as without: no goal for those. */
const GOALS: Partial<Record<Load, Goal>> = {
  kept: { ratio: 0.8, beside: ['direct'] },
  fresh: { ratio: 5, beside: ['socat, two in a row'] },
};
const NAMES = Object.keys(LOADS) as Load[];
const isHttp = (load: Load): boolean => load === 'kept' || load === 'fresh';

const rounds = roundsOf(process.argv[2], 5);
if (!existsSync('/usr/bin/socat')) throw new Error('socat is missing; install socat');
const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const vsock = join(folder, 'vsock');
const processes = new Pinned();
const pinned = (command: string[]): ChildProcess => processes.start(command, { quiet: true });

const programs = { http: compiled('egress/load.c'), bulk: compiled('relay/load.c') };

function measure(port: number, load: Load): number {
  const { words } = LOADS[load];
  // The HTTP load has a target in between, 0 for none
  const args = isHttp(load) ? [programs.http, load, port, 0, ...words] : [programs.bulk, load, port, ...words];
  const said = execFileSync('taskset', ['-c', CPU, ...args.map(String)], { encoding: 'utf8', timeout: 120_000 });
  return Number(said) / (isHttp(load) ? 1 : 1e9);
}

try {
  await ready(pinned([programs.http, 'server', String(HTTP_PORT)]));
  await ready(pinned([programs.bulk, 'server', join(folder, 'unused'), String(BULK_PORT)]));
  const odynPorts = [join(import.meta.dirname, 'odyn-ports.ts'), vsock, String(HTTP_PORT), String(BULK_PORT)];
  await ready(pinned([...NODE, ...odynPorts]));
  const ours: Record<number, number> = {};
  const socat: Record<number, number> = {};
  for (const [index, port] of [HTTP_PORT, BULK_PORT].entries()) {
    ours[port] = OURS_PORT + index;
    const relay = join(import.meta.dirname, '../relay/relay-process.ts');
    await ready(pinned([...NODE, relay, 'native', String(ours[port]), `${vsock}_${port}`]));
    const between = join(folder, `socat-${port}`);
    socat[port] = SOCAT_PORT + index;
    pinned(['socat', `UNIX-LISTEN:${between},fork,backlog=1024`, `TCP:127.0.0.1:${port},nodelay`]);
    const listen = `TCP-LISTEN:${socat[port]},bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay`;
    pinned(['socat', listen, `UNIX-CONNECT:${between}`]);
    await answers(socat[port]);
  }
  const ways: Record<string, Record<number, number>> = {
    ours,
    'socat, two in a row': socat,
    direct: { [HTTP_PORT]: HTTP_PORT, [BULK_PORT]: BULK_PORT },
  };
  const samples = Object.fromEntries(
    NAMES.map((load) => [load, Object.fromEntries(Object.keys(ways).map((way) => [way, [] as number[]]))]),
  ) as Record<Load, Record<string, number[]>>;
  for (let round = 1; round <= rounds; round++) {
    for (const load of NAMES)
      for (const [way, ports] of Object.entries(ways))
        samples[load][way]?.push(measure(ports[isHttp(load) ? HTTP_PORT : BULK_PORT] as number, load));
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const results = NAMES.map((load): Result => {
    const { metric, unit } = LOADS[load];
    const goal = GOALS[load];
    return { metric, unit, better: 'more', samples: samples[load], ...(goal && { goal }) };
  });
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['ingress', results]]))}\n`);
} finally {
  processes[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
