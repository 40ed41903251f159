import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { TestStack } from '../../test/stack/stack.ts';
import { summaryTable } from '../harness/table.ts';
import { NativeOdyn } from '../odyn/native-odyn.ts';
import { type Goal, publish, type Result, roundsOf } from '../results.ts';
import { bootAndKill, type Life } from './boot.ts';
import { type BareBoot, bootBusybox } from './busybox-boot.ts';
import { buildIdleImage } from './idle-image.ts';
import { OUTSIDE, odynMemory, SETTLE_MS, stackMemory } from './process-memory.ts';

/**
 * Boot time beside that of the same kernel with busybox, notice of death, and memory, of an enclave that does nothing, on this machine.
 *
 *   node bench/lifecycle/main.ts [RUNS]      default: 8
 */

const runs = roundsOf(process.argv[2], 8);
const BARE = 'the same kernel, a busybox init';
const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
const stack = await TestStack.start();

function row(metric: string, unit: string, samples: Result['samples'], goal?: Goal): Result {
  return { metric, unit, better: 'less', samples, ...(goal && { goal }) };
}

/** Of the stack, and of odyn in the guest. */
async function memory(bus: Bus, id: string): Promise<Result[]> {
  await sleep(SETTLE_MS);
  const processes = await stackMemory(stack.dir);
  for (const { name, rss, pss, anonymous } of processes) {
    const figures = [rss, pss, anonymous].map((value) => value.toFixed(1).padStart(8)).join('');
    process.stderr.write(`${name.padEnd(28)} rss, pss, anonymous: ${figures} MiB\n`);
  }
  const outside = processes.filter(({ name }) => OUTSIDE.includes(name)).reduce((sum, { pss }) => sum + pss, 0);
  const odyn = await odynMemory(bus, id);
  return [
    row('nats-server and the four services, with an enclave', 'MiB proportional', { ours: [outside] }, { value: 200 }),
    row('odyn in the guest, resident', 'MiB', { ours: [odyn.resident] }, { value: 60 }),
    row('odyn in the guest, anonymous', 'MiB', { ours: [odyn.anonymous] }, { value: 25 }),
  ];
}

try {
  const bus = await Bus.connect({ source: 'bench', credentials: stack.busFile });
  const eif = await buildIdleImage(work, stack.env);
  await using odyn = await NativeOdyn.make();
  const lives: Life[] = [];
  const bare: BareBoot[] = [];
  const natives: number[] = [];
  const memories: Result[][] = [];
  for (let round = 1; round <= runs; round++) {
    const whenReady = async (id: string): Promise<void> => void memories.push(await memory(bus, id));
    lives.push(await bootAndKill(bus, eif, stack.env, whenReady));
    bare.push(await bootBusybox(work));
    const { holder, readyMs } = await odyn.start();
    natives.push(readyMs);
    await odyn.end(holder);
    process.stderr.write(`round ${round} of ${runs}\n`);
  }
  const ours = (pick: (life: Life) => number): { ours: number[] } => ({ ours: lives.map(pick) });
  const busybox = (pick: (boot: BareBoot) => number): Result['samples'] => ({ [BARE]: bare.map(pick) });
  const toInit = ours(({ wallMs, initMs, odynMs }) => wallMs - initMs - odynMs);
  const results: Result[] = (memories[0] ?? []).map((first, index) => ({
    ...first,
    samples: { ours: memories.flatMap((all) => all[index]?.samples.ours ?? []) },
  }));
  results.push(
    row('start of the machine to ready', 'ms', { ...ours(({ wallMs }) => wallMs) }, { value: 6000 }),
    row('QEMU and kernel, to /init', 'ms', { ...toInit, ...busybox(({ wallMs }) => wallMs) }),
    row('kernel, to /init, on its own clock', 'ms', {
      ...ours(({ kernelMs }) => kernelMs),
      ...busybox(({ kernelMs }) => kernelMs),
    }),
    row(
      'init, to the start of odyn',
      'ms',
      ours(({ initMs }) => initMs),
    ),
    row(
      'odyn, to ready',
      'ms',
      ours(({ odynMs }) => odynMs),
    ),
    row(
      '/init to ready',
      'ms',
      ours(({ initMs, odynMs }) => initMs + odynMs),
      { value: 2000 },
    ),
    row('odyn without an enclave, from its start to ready', 'ms', { ours: natives }, { value: 150 }),
    row(
      'death of the machine to the event',
      'ms',
      ours(({ eventMs }) => eventMs),
      { value: 100 },
    ),
    row(
      'death of the machine to the end of the command',
      'ms',
      ours(({ exitMs }) => exitMs),
    ),
  );
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['lifecycle', results]]))}\n`);
  await bus.close();
} finally {
  await stack[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
}
