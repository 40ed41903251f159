import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blocksOf } from '../bootstrap/read-bounded.ts';
import { limits } from '../limits.ts';
import { unlessOutOfDescriptors } from '../system/descriptors.ts';
import { listeningPorts } from './socket-table.ts';

/**
 * Waits until the app listens at every one of `ports`, however long that takes. The kernel's socket table is read, since
 * a connection to find out would be one that the app sees.
 * @returns false when `signal` ended the wait
 */
export async function waitForListeners(
  ports: readonly number[],
  signal: AbortSignal,
  procNet = '/proc/net',
): Promise<boolean> {
  const begun = performance.now();
  while (!signal.aborted) {
    if (missingListeners(ports, procNet).length === 0) return true;
    const pause = performance.now() - begun < limits.readyFastMs ? limits.readyPollMs : limits.readySlowPollMs;
    try {
      await sleep(pause, undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
  return false;
}

/** Those of `ports` at which nobody listens right now, as far as can be seen: all of them where no descriptor is left to look. */
export function missingListeners(ports: readonly number[], procNet = '/proc/net'): number[] {
  if (ports.length === 0) return [];
  const open = unlessOutOfDescriptors(() => openPorts(procNet));
  return ports.filter((port) => !open?.has(port));
}

function openPorts(procNet: string): Set<number> {
  const all = new Set<number>();
  for (const name of ['tcp', 'tcp6']) {
    const path = join(procNet, name);
    // A kernel without IPv6 has no tcp6
    if (!existsSync(path)) continue;
    for (const port of listeningPorts(beginningOf(path))) all.add(port);
  }
  return all;
}

function* beginningOf(path: string): Generator<string> {
  let left: number = limits.listenerTableBytes;
  for (const block of blocksOf(path)) {
    yield block.toString('latin1');
    left -= block.length;
    if (left <= 0) return;
  }
}
