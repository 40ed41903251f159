import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from '../../limits.ts';

/** Whatever failed may work later: somebody is away, or busy. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
}

/**
 * The result of `attempt`, which is made again after each TransientError, with longer and longer pauses. After
 * `limits.tlsBootMs`, and when `signal` aborts, its last error is thrown.
 */
export async function retry<Result>(
  attempt: () => Promise<Result>,
  onFailure: (error: TransientError) => void,
  signal: AbortSignal,
): Promise<Result> {
  const until = performance.now() + limits.tlsBootMs;
  for (let pause: number = limits.tlsRetryMs; ; pause = Math.min(2 * pause, limits.tlsRetryMaxMs)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted || performance.now() + pause > until) throw error;
      onFailure(error);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }
}
