/**
 * What an enclave keeps beside a hostile one, of what it has beside one like itself: bytes of eight downloads for each second of
 * processor time of the outer-proxy, and the latency of small requests while the others download. One outer-proxy on one CPU,
 * everything else on the other; rounds alternate between the kinds of hostility. Prints a table in Markdown.
 *
 *   node bench/fairness/main.ts [ENCLAVES] [ROUNDS] [GROUPS: true or false]      default: 4 3 true
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { summarize } from '../statistics.ts';

const [enclaves = 4, rounds = 3] = process.argv.slice(2, 4).map(Number);
const groups = process.argv[4] ?? 'true';
const last = enclaves - 1;
/** As many as a busy client has. */
const CONNECTIONS = 8;
const ENDLESS = 1024 ** 4;
const SECONDS = 2;
const SETTLE_MS = 500;
const FIRST_PORT = 22_000;
const SERVER_PORT = 22_100;
/** As many as the outer-proxy has by itself, and as many as it has descriptors for where a process may have 20,000. */
const EGRESS_DEFAULT = 4096;
const EGRESS_RAISED = 9000;

const folder = mkdtempSync(join(tmpdir(), 'enclaver-fairness-'));
const children = new Set<ChildProcess>();

function compile(name: string, source: string): string {
  const program = join(folder, name);
  execFileSync('gcc', ['-O2', '-o', program, join(import.meta.dirname, source)]);
  return program;
}

const load = compile('load', '../relay/load.c');
const hostile = compile('hostile', 'hostile.c');

function start(cpu: number, ...command: (string | number)[]): ChildProcess {
  const child = spawn('taskset', ['-c', String(cpu), ...command.map(String)], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
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

const downloads = (index: number, connections = CONNECTIONS): ChildProcess =>
  start(0, load, 'down', FIRST_PORT + index, connections, ENDLESS);

/** What the last enclave does, and how many egress connections each may have. */
interface Kind {
  readonly name: string;
  readonly egressConnections?: number;
  begin(): Promise<ChildProcess>;
}

async function egress(): Promise<ChildProcess> {
  const child = start(0, hostile, 'egress', join(folder, `enclave-${last}_17002`), SERVER_PORT + last, 10_000);
  await line(child);
  return child;
}

const kinds: readonly [Kind, ...Kind[]] = [
  { name: `${CONNECTIONS} downloads, like the others`, begin: async () => downloads(last) },
  { name: '1,000 downloads', begin: async () => downloads(last, 1000) },
  { name: 'new connections to its port, 64 at a time', begin: async () => start(0, hostile, 'churn', FIRST_PORT + last, 64) },
  { name: '10,000 egress connections never read, 4,096 let through', begin: egress },
  {
    name: '10,000 egress connections never read, 9,000 let through',
    egressConnections: EGRESS_RAISED,
    begin: egress,
  },
];

interface Counts {
  cpuMicroseconds: number;
  enclaves: { bytes: number; egress: { active: number; accepted: number; refused: number; rateLimited: number } }[];
}

interface Sample {
  /** Of one of the others: MB for a second of processor time. */
  bulk: number;
  p50: number;
  p99: number;
}

async function measure({ egressConnections = EGRESS_DEFAULT, begin }: Kind): Promise<Sample> {
  const program = join(import.meta.dirname, 'relay-process.ts');
  const relay = start(1, process.execPath, program, folder, FIRST_PORT, enclaves, groups, egressConnections);
  await line(relay);
  const counts = async (): Promise<Counts> => {
    relay.stdin?.write('\n');
    return JSON.parse(await line(relay));
  };
  const others = Array.from({ length: enclaves - 2 }, (_, index) => downloads(index + 1));
  const loads = [...others, await begin()];
  await sleep(SETTLE_MS);
  // It shall wait for the outer-proxy, not for the programs beside it
  const asking = start(0, 'nice', '-n', '-20', load, 'rtt', FIRST_PORT, 1, SECONDS);
  const [p50 = Number.NaN, p99 = Number.NaN] = (await line(asking)).split(' ').map(Number);
  loads.push(downloads(0));
  await sleep(SETTLE_MS);
  const before = await counts();
  await sleep(SECONDS * 1000);
  const after = await counts();
  for (const child of [...loads, relay]) await end(child);
  const seconds = (after.cpuMicroseconds - before.cpuMicroseconds) / 1e6;
  const moved = after.enclaves.map(({ bytes }, index) => (bytes - (before.enclaves[index]?.bytes ?? 0)) / 1e6);
  if (process.env.FAIRNESS_DEBUG) console.error(seconds.toFixed(2), moved.map((x) => x.toFixed(0)).join(' '), p50, p99, JSON.stringify(after.enclaves[last]?.egress));
  return { bulk: summarize(moved.slice(0, last)).median / seconds, p50, p99 };
}

try {
  for (let index = 0; index < enclaves; index++) {
    const server = start(0, 'nice', '-n', index === 0 ? '-20' : '0', load, 'server', join(folder, `server-${index}`), SERVER_PORT + index);
    await line(server);
  }
  const samples = kinds.map(() => [] as Sample[]);
  for (let round = 0; round < rounds; round++) {
    for (const [index, kind] of kinds.entries()) samples[index]?.push(await measure(kind));
  }
  const [equal = []] = samples;
  const of = (figure: keyof Sample, all: readonly Sample[]) => summarize(all.map((sample) => sample[figure]));
  const rows = kinds.map(({ name }, index) => {
    const mine = samples[index] ?? [];
    const kept = summarize(mine.map(({ bulk }, round) => (bulk / (equal[round]?.bulk ?? Number.NaN)) * 100));
    const times = (figure: 'p50' | 'p99') => {
      const { median } = of(figure, mine);
      return `${median.toFixed(0)} (${(median / of(figure, equal).median).toFixed(2)} ×)`;
    };
    const range = `${kept.median.toFixed(0)} % [${kept.min.toFixed(0)} to ${kept.max.toFixed(0)}]`;
    return `| ${name} | ${of('bulk', mine).median.toFixed(0)} | ${range} | ${times('p50')} | ${times('p99')} |`;
  });
  process.stdout.write(
    [
      `| the last of ${enclaves} has | MB/s of each other | of its share | p50, µs | p99, µs |`,
      '| --- | --- | --- | --- | --- |',
      ...rows,
      '',
    ].join('\n'),
  );
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
