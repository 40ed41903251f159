import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type EnclaveRecord } from '@enclaver/bus';
import { TestStack } from '../../test/stack/stack.ts';
import { publish, type Result, roundsOf } from '../results.ts';
import { formatSummary, summarize } from '../statistics.ts';
import { buildIdleImage } from './idle-image.ts';
import { OUTSIDE, stackMemory } from './process-memory.ts';

/**
 * Boot time, notice of death and idle memory of an enclave that does nothing, on this machine.
 *
 *   node bench/lifecycle/main.ts [RUNS]      default: 20
 */

const runs = roundsOf(process.argv[2], 20);
const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;

interface Boot {
  enclave: EnclaveRecord;
  /** Milliseconds from the start of the machine's process to `ready` on the bus. */
  wallMs: number;
  kernelMs: number;
  initMs: number;
  odynMs: number;
}

interface Death {
  eventMs: number;
  exitMs: number;
}

const work = await mkdtemp(join(tmpdir(), 'enclaver-bench-'));
const stack = await TestStack.start();
try {
  const bus = await Bus.connect({ source: 'bench', credentials: stack.busFile });
  const eif = await buildIdleImage(work, stack.env);
  const boots: Boot[] = [];
  const deaths: Death[] = [];
  for (let n = 0; n < runs; n++) {
    const { boot, death } = await bootAndKill(bus, eif, n === 0 ? (id) => printMemory(bus, id) : undefined);
    boots.push(boot);
    deaths.push(death);
  }
  const ms = (metric: string, samples: number[], value?: number): Result => ({
    metric,
    unit: 'ms',
    better: 'less',
    samples: { ours: samples },
    ...(value !== undefined && { goal: { value } }),
  });
  publish([
    ms(
      'start of the machine to ready',
      boots.map(({ wallMs }) => wallMs),
    ),
    ms(
      'kernel and QEMU',
      boots.map(({ wallMs, initMs, odynMs }) => wallMs - initMs - odynMs),
    ),
    ms(
      '/init to ready',
      boots.map(({ initMs, odynMs }) => initMs + odynMs),
      2000,
    ),
    ms(
      'death of the machine to the event',
      deaths.map(({ eventMs }) => eventMs),
      100,
    ),
    ms(
      'death of the machine to the end of the command',
      deaths.map(({ exitMs }) => exitMs),
    ),
  ]);
  const column = (pick: (boot: Boot) => number) => formatSummary(summarize(boots.map(pick)), 'ms');
  process.stdout.write(
    [
      `machine: ${cpus()[0]?.model}, ${cpus().length} CPUs, backend ${boots[0]?.enclave.backend}`,
      `start of the machine to ready: ${column((boot) => boot.wallMs)}`,
      `  QEMU and kernel, to /init:   ${column((boot) => boot.wallMs - boot.initMs - boot.odynMs)}`,
      `    of that on the guest's clock: ${column((boot) => boot.kernelMs)}`,
      `  init, to the start of odyn:  ${column((boot) => boot.initMs)}`,
      `  odyn, to ready:              ${column((boot) => boot.odynMs)}`,
      `death of the machine to the event: ${formatSummary(summarize(deaths.map((death) => death.eventMs)), 'ms')}`,
      `death of the machine to the end of enclaver run: ${formatSummary(summarize(deaths.map((death) => death.exitMs)), 'ms')}`,
      '',
    ].join('\n'),
  );
  await bus.close();
} finally {
  await stack[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
}

async function bootAndKill(
  bus: Bus,
  eif: string,
  whenReady?: (id: string) => Promise<void>,
): Promise<{ boot: Boot; death: Death }> {
  const events = bus.events();
  await events.ready;
  const run = spawn(command, ['run', eif], { stdio: 'ignore', env: { ...process.env, ...stack.env } });
  const exited = once(run, 'exit').then(() => performance.now());
  let launchedAt = 0;
  let killedAt = 0;
  let boot: Boot | undefined;
  for await (const event of events) {
    if (event.name === 'launching') launchedAt = Date.parse(event.time);
    if (event.name === 'failed') throw new Error(JSON.stringify(event.data));
    if (event.name === 'ready') {
      const enclave = await bus.enclaves.get(event.id);
      const { timings } = event.data;
      if (enclave?.pid === undefined || timings?.readyMs === undefined) throw new Error('no pid or no timings');
      boot = {
        enclave,
        wallMs: Date.parse(event.time) - launchedAt,
        kernelMs: timings.initMs,
        initMs: timings.odynMs - timings.initMs,
        odynMs: timings.readyMs - timings.odynMs,
      };
      await whenReady?.(event.id);
      killedAt = performance.now();
      process.kill(enclave.pid, 'SIGKILL');
    }
    if (event.name === 'lost') {
      const eventMs = performance.now() - killedAt;
      const exitMs = (await exited) - killedAt;
      if (boot === undefined) throw new Error('lost before ready');
      return { boot, death: { eventMs, exitMs } };
    }
  }
  throw new Error('the bus went away');
}

async function printMemory(bus: Bus, id: string): Promise<void> {
  const processes = await stackMemory(stack.dir);
  const outside = processes.filter(({ name }) => OUTSIDE.includes(name));
  publish([
    {
      metric: 'nats-server and the four services, with an enclave',
      unit: 'MiB proportional',
      better: 'less',
      samples: { ours: [outside.reduce((sum, { pss }) => sum + pss, 0)] },
      goal: { value: 200 },
    },
  ]);
  process.stdout.write('idle memory, MiB\n');
  for (const { name, rss, pss, anonymous } of processes) {
    const figures = [rss, pss, anonymous].map((value) => value.toFixed(1).padStart(8)).join('');
    process.stdout.write(`  ${name.padEnd(28)} rss, pss, anonymous: ${figures}\n`);
  }
  for await (const { lines } of bus.logs({ id, streams: ['odyn'], follow: true })) {
    const ready = lines.map(({ text }) => JSON.parse(text)).find(({ msg }) => msg === 'ready');
    if (ready === undefined) continue;
    const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
    const odyn = (metric: string, bytes: number, value: number): Result => ({
      metric,
      unit: 'MiB',
      better: 'less',
      samples: { ours: [bytes / 2 ** 20] },
      goal: { value },
    });
    publish([
      odyn('odyn in the guest, resident', ready.residentBytes, 60),
      odyn('odyn in the guest, anonymous', ready.anonymousBytes, 25),
    ]);
    process.stdout.write(
      `  odyn, inside: resident ${mib(ready.residentBytes)}, anonymous ${mib(ready.anonymousBytes)}\n`,
    );
    return;
  }
}
