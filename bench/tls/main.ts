// TLS that ends in odyn, beside HAProxy and nginx that end it for the same app behind the same relay, and beside `openssl s_server`, which
// has no app behind it: `node bench/tls/main.ts [rounds]`. All have the same certificate. `openssl s_time` is the client; client, relay,
// server and app share one CPU, so that a rate is the total cost: it says little on a machine that does something else. CPU time of the
// server does then, too. Rounds alternate between the servers, and medians are compared within one run only. Prints tables in Markdown,
// with ratios, to stdout.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled } from '../harness/compiled.ts';
import { answers, CPU, NODE, Pinned, ready } from '../harness/pinned.ts';
import { cpuSeconds } from '../harness/process-cost.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { peers } from './peers.ts';

const BIG_BYTES = 64 << 20;
const SECONDS = 1;
const FIRST_PORT = 21_100;

/** What `s_time` is told; sessions of TLS 1.3 are only known once something was read. */
const METRICS = {
  'full 1.2': ['-new', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  'full 1.3': ['-new', '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256'],
  'resumed 1.2': ['-reuse', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  'full 1.3 and a request': ['-new', '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256', '-www', '/small'],
  'resumed 1.3 and a request': ['-reuse', '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256', '-www', '/small'],
  bulk: ['-new', '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256', '-www', '/big'],
} as const;
type Metric = keyof typeof METRICS;
const NAMES = Object.keys(METRICS) as Metric[];

const WARM_UP: readonly Metric[] = ['full 1.2', 'resumed 1.2', 'full 1.3 and a request'];

interface Server {
  readonly name: string;
  readonly port: number;
  /** Of what ends TLS. */
  readonly pid: number;
  /** Connections a second; MB/s for bulk. */
  readonly rates: Record<Metric, number[]>;
  /** CPU time of `pid`: ms a connection; ms a MB for bulk. */
  readonly costs: Record<Metric, number[]>;
}

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-'));
const processes = new Pinned();
const pinned = (...command: string[]): ChildProcess => processes.start(command, { cwd: folder });

function measure(server: Server, metric: Metric): void {
  const args = ['s_time', '-connect', `127.0.0.1:${server.port}`, '-time', String(SECONDS), ...METRICS[metric]];
  const [begun, before] = [performance.now(), cpuSeconds(server.pid)];
  const said = execFileSync('taskset', ['-c', CPU, 'openssl', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 64 << 20,
  });
  const seconds = (performance.now() - begun) / 1000;
  const [, connections = '0', bytes = '0'] = /(\d+) connections in \d+ real seconds, (\d+) bytes/.exec(said) ?? [];
  const count = Number(connections) * (metric === 'bulk' ? Number(bytes) / 1e6 : 1);
  // s_time says with a letter for each connection whether it was a new one
  const resumed = said.match(/^r+$/m) !== null;
  if (count === 0 || resumed !== metric.startsWith('resumed'))
    throw new Error(`${server.name}: no figure for ${metric}`);
  server.rates[metric].push(count / seconds);
  server.costs[metric].push(((cpuSeconds(server.pid) - before) * 1000) / count);
}

const median = (values: readonly number[]): number => summarize(values).median;

function table(title: string, servers: readonly Server[], cell: (server: Server, metric: Metric) => string): string {
  const rows = servers.map((server) => `| ${server.name} | ${NAMES.map((name) => cell(server, name)).join(' | ')} |`);
  return [`| ${title} | ${NAMES.join(' | ')} |`, `| --- |${' --- |'.repeat(NAMES.length)}`, ...rows].join('\n');
}

function server(name: string, port: number, { pid }: ChildProcess): Server {
  if (pid === undefined) throw new Error(`${name} did not start`);
  const empty = (): Record<Metric, number[]> =>
    Object.fromEntries(NAMES.map((metric) => [metric, [] as number[]])) as Record<Metric, number[]>;
  return { name, port, pid, rates: empty(), costs: empty() };
}

const rounds = roundsOf(process.argv[2], 5);
const present = peers.filter(({ needs }) => needs === undefined);

try {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', 'cert.pem', '-days', '2', '-subj', '/CN=bench'], {
    cwd: folder,
    stdio: 'ignore',
  });
  writeFileSync(join(folder, 'small'), 'small\n');
  writeFileSync(join(folder, 'big'), Buffer.alloc(BIG_BYTES));
  const program = (name: string): string[] => [...NODE, join(import.meta.dirname, name)];
  const sServer = ['openssl', 's_server', '-key', 'key.pem', '-cert', 'cert.pem', '-WWW', '-quiet'];
  const relay = (port: number, path: string): ChildProcess =>
    pinned(...program('../relay/relay-process.ts'), 'native', String(port), path);
  const vsock = join(folder, 'vsock');
  const [app, direct, ours] = [FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2];

  await ready(pinned(compiled('tls/app.c'), String(app), String(BIG_BYTES)));
  const odyn = await ready(pinned(...program('odyn-port.ts'), String(app), vsock, folder));
  await ready(relay(ours, `${vsock}_${app}`));
  const servers: Server[] = [server('odyn', ours, odyn)];
  for (const peer of present) {
    const [port, path] = [ours + servers.length, join(folder, `tls-${servers.length}`)];
    servers.push(server(peer.name, port, pinned(...peer.command(path, app, folder))));
    await ready(relay(port, path));
  }
  servers.push(server('s_server, without relay and app', direct, pinned(...sServer, '-accept', `127.0.0.1:${direct}`)));
  for (const { port } of servers) await answers(port);

  // What runs in V8 is compiled as it is used
  for (const each of servers) for (const metric of WARM_UP) measure(each, metric);
  for (const each of servers)
    for (const metric of WARM_UP) for (const kept of [each.rates, each.costs]) kept[metric] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const metric of NAMES) for (const each of servers) measure(each, metric);
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  publish(
    NAMES.map((name) => ({
      metric: name === 'bulk' ? 'bulk' : `${name}, connections`,
      unit: name === 'bulk' ? 'MB/s' : '1/s',
      better: 'more',
      samples: Object.fromEntries(servers.map((each) => [each.name, each.rates[name]])),
      goal: { ratio: 0.8, beside: present.map((peer) => peer.name) },
    })),
  );
  const [first] = servers as [Server];
  const others = servers.slice(1);
  const ratio = (of: 'rates' | 'costs') => (each: Server, metric: Metric) => {
    const value = median(first[of][metric]) / median(each[of][metric]);
    return (of === 'rates' ? value : 1 / value).toFixed(2);
  };
  process.stdout.write(
    [
      table('connections/s, bulk MB/s', servers, ({ rates }, metric) => median(rates[metric]).toFixed(0)),
      table('rate of odyn against', others, ratio('rates')),
      table('CPU ms of the server: a connection, or a MB', servers, ({ costs }, metric) =>
        median(costs[metric]).toFixed(3),
      ),
      table('CPU time of odyn against', others, ratio('costs')),
    ].join('\n\n'),
  );
  const missing = peers.flatMap(({ name, needs }) => (needs === undefined ? [] : [`${name} (install ${needs})`]));
  process.stdout.write(
    `\n${missing.length > 0 ? `\nNot measured, because not installed: ${missing.join(', ')}\n` : ''}`,
  );
} finally {
  processes[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
