/**
 * What enclaves keep beside a hostile one of the same image through the whole stack: bytes of four downloads of each, of what they have while it
 * downloads like them. The hostile one floods its log, tries to open 10,000 egress connections that it never reads, and has clients that
 * never read.
 *
 *   node bench/fairness/stack.ts native|booted [ROUNDS]      default: 5 rounds
 *
 * On Nitro each enclave has processors of its own, so all here have together a part of one that they cannot exceed, in equal parts. Booted, what an app
 * does is emulated where there is no virtualisation, and the hostile one is slow, too. Native, odyn and app run as processes of this machine, with a
 * stand-in for the vsock device; the services have one CPU, of which another program takes most, so that it is they who have to share.
 * Booted needs a Docker Engine with the images of the tests (`scripts/engine start`, `scripts/base-images`).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEnclave } from '../../test/e2e/build-image.ts';
import { TestStack } from '../../test/stack/stack.ts';
import { compiled } from '../harness/compiled.ts';
import { roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { bootAll } from './booted-host.ts';
import { startAll } from './native-host.ts';
import { inOwnNetwork } from './own-network.ts';
import { line, Processes, REST_CPU } from './processes.ts';
import { Quota } from './quota.ts';
import { measure, type Sample, type SharedHost } from './shared-host.ts';

/** Two hold for the smallest host, four are what a host of Nitro takes at most. */
const ENCLAVES = [2, 4];
/** For all enclaves together. */
const PROCESSORS = { native: 0.5, booted: 1 };
const SERVER_PORT = 22_200;
const MANIFEST =
  'defaults: { cpu_count: 1, memory_mb: 1024 }\ningress: [{ listen_port: 8000 }]\negress: { allow: ["host"] }\n';

const [kind, given] = process.argv.slice(2);
if (kind !== 'native' && kind !== 'booted') throw new Error('usage: stack.ts native|booted [ROUNDS]');
const rounds = roundsOf(given, 5);

const columns: readonly (readonly [string, (pair: { equal: Sample; beside: Sample }) => number, number])[] = [
  ['kept by the others, %', ({ equal, beside }) => (beside.others / equal.others) * 100, 0],
  ['MB/s of them', ({ beside }) => beside.others, 0],
  ['the last one’s log, MB/s', ({ beside }) => beside.log, 1],
  ['its egress connections, open', ({ beside }) => beside.open, 0],
  ['refused in a second', ({ beside }) => beside.refused, 0],
];

function show(figures: number[], digits: number): string {
  const { median, min, max } = summarize(figures);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}

async function rowOf(host: SharedHost): Promise<string> {
  // What has not run yet is slow
  await measure(host, `host:${SERVER_PORT}`);
  const pairs: Awaited<ReturnType<typeof measure>>[] = [];
  while (pairs.length < rounds) pairs.push(await measure(host, `host:${SERVER_PORT}`));
  const cells = columns.map(([, of, digits]) => show(pairs.map(of), digits));
  return `| ${host.ports.length} | ${cells.join(' | ')} |\n`;
}

async function image(work: string): Promise<string> {
  await using stack = await TestStack.start();
  const folder = new URL('../../test/e2e/hostile/', import.meta.url).pathname;
  const built = { work, name: 'fairness', context: { folder }, manifest: MANIFEST, env: stack.env };
  return (await buildEnclave(built)).eif;
}

async function shared(work: string, processors: number, enclaves: number, eif: string | undefined): Promise<void> {
  const quotas = Array.from({ length: enclaves }, (_, index) => new Quota(`${index}`, processors / enclaves));
  {
    await using parts = new AsyncDisposableStack();
    const host =
      eif === undefined
        ? await startAll(parts, work, quotas)
        : await bootAll(parts.use(await TestStack.start()), eif, quotas);
    process.stdout.write(await rowOf(host));
  }
  for (const quota of quotas) quota[Symbol.dispose]();
}

async function all(kind: keyof typeof PROCESSORS): Promise<void> {
  const processors = PROCESSORS[kind];
  const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
  using processes = new Processes();
  try {
    await line(processes.start(REST_CPU, 10, compiled('fairness/hostile.c'), 'server', SERVER_PORT));
    const eif = kind === 'booted' ? await image(work) : undefined;
    process.stdout.write(`| enclaves | ${columns.map(([name]) => name).join(' | ')} |\n`);
    process.stdout.write(`| --- |${' --- |'.repeat(columns.length)}\n`);
    for (const enclaves of ENCLAVES) await shared(work, processors, enclaves, eif);
  } finally {
    await rm(work, { recursive: true });
  }
}

if (inOwnNetwork()) await all(kind);
