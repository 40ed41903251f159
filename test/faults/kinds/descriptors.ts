import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Fault } from '../faults.ts';
import { CLIENTS } from '../stack.ts';

const execute = promisify(execFile);

const LASTS_MS = 1_500;
/** Below what any process has open for good: it gets no further descriptor, and keeps those that it has. */
const NONE = 4;

async function withoutDescriptors(
  pid: number,
  meanwhile: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  const limit = async (soft: number | string) => execute('prlimit', ['--pid', `${pid}`, `--nofile=${soft}:`]);
  const before = (
    await execute('prlimit', ['--pid', `${pid}`, '--nofile', '--output=SOFT', '--noheadings'])
  ).stdout.trim();
  await limit(NONE);
  await Promise.all([meanwhile(), sleep(LASTS_MS)]);
  await limit(before);
}

/** Processes that have no file descriptor left for what is new; where nothing new comes by itself, something is made to. */
export const descriptors: readonly Fault[] = [
  {
    name: 'outer-proxy has no descriptor left for 1.5 s, one of two',
    // A connection that a place for the accepted one is left for, but none for the way on
    mayFail: 2 * CLIENTS,
    lastsMs: LASTS_MS,
    strike: ({ proxies }, which) => withoutDescriptors(proxies[which].pid),
  },
  {
    name: 'odyn has no descriptor left for 1.5 s',
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: ({ inside: { enclave } }) => withoutDescriptors(enclave.pid),
  },
  {
    name: 'log-relay has no descriptor left for 1.5 s, and the vsock device is killed',
    mayFail: CLIENTS,
    lastsMs: LASTS_MS,
    strike: ({ relay, inside: { device } }) =>
      withoutDescriptors(relay.pid, async () => {
        await device.stop();
        await device.start();
      }),
  },
  {
    name: 'nats-server has no descriptor left for 1.5 s, and the log-relay is killed',
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: async ({ nats, relay }) => {
      await withoutDescriptors(nats.pid, () => relay.end('SIGKILL'));
      await relay.start();
    },
  },
];
