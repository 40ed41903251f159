import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '@enclaver/manifest';
import { missingListeners } from '../ingress/listeners.ts';
import { limits } from '../limits.ts';
import { HealthState } from './health-state.ts';
import { probeOf } from './probe.ts';

export interface WatchOptions {
  readonly health: NonNullable<Manifest['health']>;
  /** Before the app is ready it also has to listen at these. */
  readonly ports: readonly number[];
  readonly onReady: () => void;
  readonly onUnhealthy: (reason: string) => void;
}

/** Checks an app that has just been started, one check after the other, until `signal`. */
export async function watchHealth(
  { health, ports, onReady, onUnhealthy }: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const probe = probeOf(health.check, health.timeoutMs);
  const state = new HealthState(health);
  const begun = performance.now();
  while (!signal.aborted) {
    const failure = (state.passed ? undefined : missing(ports)) ?? (await probe(signal));
    if (signal.aborted) return;
    const now = performance.now() - begun;
    const change = state.take(failure === undefined, now);
    if (change === 'ready') onReady();
    if (change === 'unhealthy') onUnhealthy(failure ?? '');
    const pause = state.starting(now) ? Math.min(limits.healthStartMs, health.intervalMs) : health.intervalMs;
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}

function missing(ports: readonly number[]): string | undefined {
  const [port] = missingListeners(ports);
  return port === undefined ? undefined : `port ${port}: nobody listens there`;
}
