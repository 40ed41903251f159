import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { TestStack } from '../../test/stack/stack.ts';
import { cpuSeconds } from '../harness/process-cost.ts';
import { buildIdleImage } from '../lifecycle/idle-image.ts';
import { OUTSIDE, type ProcessMemory, stackMemory } from '../lifecycle/process-memory.ts';

export const MOST_ENCLAVES = 4;
const WATCH_MS = 4_000;
/** What the build and the first start took, Node gives back within that. */
const SETTLE_MS = 15_000;

/** What nats-server and the services take with so many enclaves, which are asleep. */
export interface EnclaveCost {
  /** MiB that are no pages of a file: what other programs share of those does not count. */
  memory: number;
  /** ms of processors in a second. */
  cpu: number;
  /** ms from the start of the last one's machine until it was ready. */
  boot: number;
}

/** With one enclave, with two, and so on, all of one image. */
export async function measureEnclaves(): Promise<EnclaveCost[]> {
  const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
  try {
    await using stack = await TestStack.start();
    await using bus = await Bus.connect({ source: 'bench', credentials: stack.busFile });
    const eif = await buildIdleImage(work, stack.env);
    const costs: EnclaveCost[] = [];
    for (let count = 1; count <= MOST_ENCLAVES; count++) {
      const boot = await start(bus, eif, `idle-${count}`);
      await sleep(count === 1 ? SETTLE_MS : WATCH_MS / 2);
      const before = cpuOf(await outside(stack));
      await sleep(WATCH_MS);
      const services = await outside(stack);
      const cpu = ((cpuOf(services) - before) * 1e6) / WATCH_MS;
      costs.push({ memory: services.reduce((sum, { anonymous }) => sum + anonymous, 0), cpu, boot });
    }
    return costs;
  } finally {
    await rm(work, { recursive: true });
  }
}

async function outside(stack: TestStack): Promise<ProcessMemory[]> {
  return (await stackMemory(stack.dir)).filter(({ name }) => OUTSIDE.includes(name));
}

function cpuOf(services: readonly ProcessMemory[]): number {
  return services.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

/** Its end is that of the stack. */
async function start(bus: Bus, eif: string, name: string): Promise<number> {
  const events = bus.events();
  await events.ready;
  await bus.request('supervisor', 'run', { eif, name, memoryMb: 1024 });
  let launched = Number.NaN;
  for await (const event of events) {
    if (event.name === 'launching') launched = Date.parse(event.time);
    if (event.name === 'failed') throw new Error(JSON.stringify(event.data));
    if (event.name === 'ready') return Date.parse(event.time) - launched;
  }
  throw new Error('the bus went away');
}

/** What one more of them costs: the slope of the line through all, by least squares. */
export function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const together = values.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0);
  return together / values.reduce((sum, _, index) => sum + (index - middle) ** 2, 0);
}
