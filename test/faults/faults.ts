import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { randomFrom } from './random.ts';
import type { LoadedStack } from './stack.ts';

export interface Fault {
  readonly name: string;
  /** Requests that it may cost: those that were under way in what was hit. */
  readonly mayFail: number;
  /** How long it is kept up. */
  readonly lastsMs?: number;
  /** Resolves when it is over, and what was killed runs again. `which`: of the two outer-proxies. */
  strike(stack: LoadedStack, which: 0 | 1): Promise<unknown>;
}

const LATEST_MS = 400;

/**
 * Strikes at random moments, each kind once and then any; the next blow comes when all is well again. Ends the load, throws where a
 * byte, a line or a request more than a fault may cost was lost, and prints what each kind did cost.
 */
export async function strikeAll(
  stack: LoadedStack,
  kinds: readonly Fault[],
  { count, seed, random }: { count: number; seed: number; random: ReturnType<typeof randomFrom> },
): Promise<void> {
  const costs = new Map<Fault, { times: number; failed: number; longestMs: number }>();
  for (let turn = 0; turn < count; turn++) {
    const fault = kinds[turn < kinds.length ? turn : Math.floor(random() * kinds.length)] as Fault;
    const what = `${fault.name} (fault ${turn}, seed ${seed})`;
    await sleep(random() * LATEST_MS);
    const before = stack.clients.failures.length;
    const begun = performance.now();
    await fault.strike(stack, random() < 0.5 ? 0 : 1);
    await inTime(stack.healthy(), what);
    const ms = performance.now() - begun - (fault.lastsMs ?? 0);
    const failed = stack.clients.failures.slice(before);
    assert.ok(failed.length <= fault.mayFail, `${what}: ${JSON.stringify(failed)}`);
    assert.doesNotMatch(JSON.stringify(failed), /wrong bytes|no answer/, what);
    const cost = costs.get(fault) ?? { times: 0, failed: 0, longestMs: 0 };
    cost.times += 1;
    cost.failed += failed.length;
    cost.longestMs = Math.max(cost.longestMs, ms);
    costs.set(fault, cost);
  }
  const { lines, egressFailed } = await stack.settle();
  const { requests, failures } = stack.clients;
  process.stdout.write(
    `\n${requests} requests, ${failures.length} failed; of the app ${lines}, ${egressFailed} failed\n`,
  );
  for (const [{ name }, { times, failed, longestMs }] of costs)
    process.stdout.write(`| ${name} | ${times} | ${failed} | ${Math.round(longestMs)} ms |\n`);
  assert.ok(lines > count, `${lines} lines`);
  const mayFail = [...costs].filter(([{ mayFail }]) => mayFail > 0).reduce((sum, [, { times }]) => sum + times, 0);
  assert.ok(egressFailed <= mayFail, `${egressFailed} of ${lines} requests of the app failed`);
}

/** Longer than any pause between two attempts of any part. */
const HEALTHY_MS = 30_000;

async function inTime(healthy: Promise<void>, what: string): Promise<void> {
  const late = new AbortController();
  const timeout = sleep(HEALTHY_MS, undefined, { signal: late.signal }).then(() =>
    assert.fail(`${what}: never well again`),
  );
  await Promise.race([healthy, timeout]).finally(() => late.abort());
}
