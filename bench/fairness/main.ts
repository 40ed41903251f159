/**
 * What an enclave keeps beside a hostile one, of what it has beside one like itself: bytes of eight downloads in a second, and the
 * latency of small requests while the others download. One outer-proxy on one CPU, everything else on the other, where a hostile
 * enclave has what the others leave: it is the outer-proxy that shall share. Prints a table in Markdown. Where both ends of a connection are on one machine, packets of 64 KiB
 * make the kernel's buffers larger than they are on a network; in a network of its own the loopback device has packets as AWS's:
 *
 *   unshare -n sh -c 'ip link set lo mtu 9001 up && exec node bench/fairness/main.ts [ROUNDS] [ENCLAVES] [GROUPS: true or false]'
 *
 * Default: 3 4 true.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
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
  { name: `${CONNECTIONS} downloads again`, begin: async () => downloads(last, HOSTILE) },
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
  /** Of one of the others: MB/s. */
  readonly bulk: number;
  /** Of the last one: MB/s. */
  readonly last: number;
  /** µs */
  readonly p50: number;
  readonly p99: number;
}

async function sample(relay: ChildProcess): Promise<Sample> {
  const counts = async (): Promise<number[]> => {
    relay.stdin?.write('\n');
    return JSON.parse(await line(relay));
  };
  await sleep(SETTLE_MS);
  // It shall wait for the outer-proxy, not for the programs beside it
  const [p50 = NaN, p99 = NaN] = (await line(start(0, -20, load, 'rtt', FIRST_PORT, 1, SECONDS)))
    .split(' ')
    .map(Number);
  const first = downloads(0);
  await sleep(SETTLE_MS);
  const before = await counts();
  const begun = performance.now();
  await sleep(SECONDS * 1000);
  const after = await counts();
  const ms = performance.now() - begun;
  await end(first);
  const moved = after.map((bytes, index) => (bytes - (before[index] ?? 0)) / 1000 / ms);
  return { bulk: summarize(moved.slice(0, last)).median, last: moved[last] ?? Number.NaN, p50, p99 };
}

/** One after the other in the same process, since what the machine gives varies from minute to minute. */
async function measure({ begin }: Kind): Promise<{ equal: Sample; beside: Sample }> {
  const program = join(import.meta.dirname, 'relay-process.ts');
  const relay = start(1, 0, process.execPath, program, folder, FIRST_PORT, enclaves, groups);
  await line(relay);
  const others = Array.from({ length: enclaves - 2 }, (_, index) => downloads(index + 1));
  prioritize(servers[last], ALIKE);
  const like = downloads(last);
  const equal = await sample(relay);
  await end(like);
  prioritize(servers[last], HOSTILE);
  const unlike = await begin();
  const beside = await sample(relay);
  for (const child of [...others, unlike, relay]) await end(child);
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
  const found = kinds.map(() => [] as { equal: Sample; beside: Sample }[]);
  for (let round = 0; round < rounds; round++) {
    for (const [index, kind] of kinds.entries()) found[index]?.push(await measure(kind));
  }
  process.stdout.write(
    `| the last of ${enclaves} has | kept of the share, % | MB/s of another | MB/s of the last | p50, × | p99, × | p50, µs | p99, µs |\n`,
  );
  process.stdout.write(`| --- |${' --- |'.repeat(7)}\n`);
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
    const cells = [
      show(
        pairs.map(({ equal, beside }) => (beside.bulk / equal.bulk) * 100),
        0,
      ),
      show(
        pairs.map(({ beside }) => beside.bulk),
        0,
      ),
      show(
        pairs.map(({ beside }) => beside.last),
        0,
      ),
      show(
        pairs.map(({ equal, beside }) => beside.p50 / equal.p50),
        2,
      ),
      show(
        pairs.map(({ equal, beside }) => beside.p99 / equal.p99),
        2,
      ),
      show(
        pairs.map(({ beside }) => beside.p50),
        0,
      ),
      show(
        pairs.map(({ beside }) => beside.p99),
        0,
      ),
    ];
    process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`);
  }
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
