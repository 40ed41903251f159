/**
 * What an enclave keeps beside a hostile one, of what it has beside one like itself: bytes of eight downloads, and the
 * latency of small requests while the others download. One outer-proxy on one CPU, everything else on the other. It is the
 * outer-proxy that shall share, so it has to be what all wait for, as where clients, enclaves and servers have processors of their
 * own: a program that does nothing else takes three quarters of its CPU while bytes are counted, and they are counted by the
 * processor time that the outer-proxy has had. Prints a table in Markdown. Where both ends of a connection are on one machine, packets of 64 KiB
 * make the kernel's buffers larger than they are on a network; in a network of its own the loopback device has packets as AWS's:
 *
 *   unshare -n sh -c 'ip link set lo mtu 9001 up && exec node bench/fairness/main.ts [ROUNDS] [ENCLAVES] [GROUPS: true or false]'
 *
 * Default: 3 4 true.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiled } from '../harness/compiled.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';

const rounds = roundsOf(process.argv[2], 3);
const enclaves = Number(process.argv[3] ?? 4);
const groups = process.argv[4] ?? 'true';
const last = enclaves - 1;
/** As many as a busy client has. */
const CONNECTIONS = 8;
const ENDLESS = 1024 ** 4;
const SECONDS = 1;
const SETTLE_MS = 400;
const MAX_MS = 10_000;
const FIRST_PORT = 22_000;
const SERVER_PORT = 22_100;
const HOSTILE_PORT = 22_200;
const folder = mkdtempSync(join(tmpdir(), 'enclaver-fairness-'));
const children = new Set<ChildProcess>();

const servers: ChildProcess[] = [];
const load = compiled('relay/load.c');
const hostile = compiled('fairness/hostile.c');

/** Priorities on the CPU that all but the outer-proxy share. */
const [ALIKE, HOSTILE] = [-10, 10];

function start(cpu: number, nice: number, ...command: (string | number)[]): ChildProcess {
  const words = ['-c', cpu, 'nice', '-n', nice, ...command].map(String);
  const child = spawn('taskset', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function prioritize(child: ChildProcess | undefined, nice: number): void {
  execFileSync('renice', ['-n', String(nice), '-p', String(child?.pid)], { stdio: 'ignore' });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function line(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [text] = await once(lines, 'line');
  lines.close();
  return text as string;
}

const downloads = (index: number, nice = ALIKE, connections = CONNECTIONS): ChildProcess =>
  start(0, nice, load, 'down', FIRST_PORT + index, connections, ENDLESS);

/** What the last enclave does instead of downloading like the others. */
interface Kind {
  readonly name: string;
  begin(): Promise<ChildProcess>;
}

const kinds: readonly Kind[] = [
  { name: `${CONNECTIONS} downloads again`, begin: async () => downloads(last) },
  { name: '1,000 downloads', begin: async () => downloads(last, HOSTILE, 1000) },
  {
    name: 'new connections, 64 at a time',
    begin: async () => start(0, HOSTILE, hostile, 'churn', FIRST_PORT + last, 64),
  },
  { name: '10,000 egress connections, never read', begin: egress },
];

async function egress(): Promise<ChildProcess> {
  const child = start(0, HOSTILE, hostile, 'egress', join(folder, `enclave-${last}_17002`), HOSTILE_PORT, 10_000);
  await line(child);
  return child;
}

interface Sample {
  /** Of one of the others, and of the last one: MB in a second of the outer-proxy's processor time. */
  readonly bulk: number;
  readonly last: number;
  /** Part of the time that the relay has worked for groups, and of the time in which the outer-proxy did not want its CPU. */
  readonly lastTime: number;
  readonly idle: number;
  /** µs */
  readonly p50: number;
  readonly p99: number;
}

interface Pair {
  readonly equal: Sample;
  readonly beside: Sample;
}

/** What the threads of a process had of a processor, and what they waited for one, in s. */
function scheduled(child: ChildProcess): { ran: number; waited: number } {
  let [ran, waited] = [0, 0];
  for (const task of readdirSync(`/proc/${child.pid}/task`)) {
    const [run = 0, wait = 0] = readFileSync(`/proc/${child.pid}/task/${task}/schedstat`, 'utf8')
      .split(' ')
      .map(Number);
    ran += run / 1e9;
    waited += wait / 1e9;
  }
  return { ran, waited };
}

async function sample(proxy: ChildProcess): Promise<Sample> {
  const counts = async (): Promise<{ bytes: number; seconds: number }[]> => {
    proxy.stdin?.write('\n');
    return JSON.parse(await line(proxy));
  };
  await sleep(SETTLE_MS);
  // It shall wait for the outer-proxy, not for the programs beside it
  const [p50 = NaN, p99 = NaN] = (await line(start(0, -20, load, 'rtt', FIRST_PORT, 1, SECONDS)))
    .split(' ')
    .map(Number);
  const first = downloads(0);
  const busy = start(1, -10, 'sh', '-c', 'while :; do :; done');
  await sleep(SETTLE_MS);
  const before = await counts();
  const from = scheduled(proxy);
  const begun = performance.now();
  let to = from;
  while (to.ran - from.ran < SECONDS / 4 && performance.now() - begun < MAX_MS) {
    await sleep(50);
    to = scheduled(proxy);
  }
  const after = await counts();
  const wall = (performance.now() - begun) / 1000;
  await end(first);
  await end(busy);
  const ran = to.ran - from.ran;
  const grown = after.map(({ bytes, seconds }, index) => ({
    rate: (bytes - (before[index]?.bytes ?? 0)) / 1e6 / ran,
    seconds: seconds - (before[index]?.seconds ?? 0),
  }));
  return {
    bulk: summarize(grown.slice(0, last).map(({ rate }) => rate)).median,
    last: grown[last]?.rate ?? Number.NaN,
    lastTime: (grown[last]?.seconds ?? 0) / grown.reduce((sum, { seconds }) => sum + seconds, 0),
    idle: Math.max(0, 1 - (ran + to.waited - from.waited) / wall),
    p50,
    p99,
  };
}

/** One after the other in the same process, since what the machine gives varies from minute to minute. */
async function measure({ begin }: Kind): Promise<Pair> {
  const program = join(import.meta.dirname, 'relay-process.ts');
  const proxy = start(1, 0, process.execPath, program, folder, FIRST_PORT, enclaves, groups);
  await line(proxy);
  const others = Array.from({ length: enclaves - 2 }, (_, index) => downloads(index + 1));
  prioritize(servers[last], ALIKE);
  const like = downloads(last);
  const equal = await sample(proxy);
  await end(like);
  prioritize(servers[last], HOSTILE);
  const unlike = await begin();
  const beside = await sample(proxy);
  for (const child of [...others, unlike, proxy]) await end(child);
  return { equal, beside };
}

function show(ratios: number[], digits: number): string {
  const { median, min, max } = summarize(ratios);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}

try {
  for (let index = 0; index < enclaves; index++)
    servers.push(start(0, ALIKE, load, 'server', join(folder, `server-${index}`), SERVER_PORT + index));
  for (const server of servers) await line(server);
  await line(start(0, HOSTILE, hostile, 'server', HOSTILE_PORT));
  const found = kinds.map(() => [] as Pair[]);
  for (let round = 0; round < rounds; round++) {
    for (const [index, kind] of kinds.entries()) found[index]?.push(await measure(kind));
  }
  process.stdout.write(
    `| the last of ${enclaves} has | kept of the share, % | MB/s of another | MB/s of the last | relay's time for the last, % | outer-proxy idle, % | p50, × | p99, × | p50, µs | p99, µs |\n`,
  );
  process.stdout.write(`| --- |${' --- |'.repeat(9)}\n`);
  publish(
    kinds.map(({ name }, index) => ({
      metric: `one of ${enclaves} enclaves; the last has ${name}`,
      unit: 'MB/s',
      better: 'more',
      samples: {
        ours: (found[index] ?? []).map(({ beside }) => beside.bulk),
        'all alike': (found[index] ?? []).map(({ equal }) => equal.bulk),
      },
      goal: { ratio: 0.9 },
    })),
  );
  for (const [index, { name }] of kinds.entries()) {
    const pairs = found[index] ?? [];
    const cell = (of: (pair: Pair) => number, digits: number): string => show(pairs.map(of), digits);
    const cells = [
      cell(({ equal, beside }) => (beside.bulk / equal.bulk) * 100, 0),
      cell(({ beside }) => beside.bulk, 0),
      cell(({ beside }) => beside.last, 0),
      cell(({ beside }) => beside.lastTime * 100, 0),
      cell(({ beside }) => beside.idle * 100, 0),
      cell(({ equal, beside }) => beside.p50 / equal.p50, 2),
      cell(({ equal, beside }) => beside.p99 / equal.p99, 2),
      cell(({ beside }) => beside.p50, 0),
      cell(({ beside }) => beside.p99, 0),
    ];
    process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`);
  }
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
