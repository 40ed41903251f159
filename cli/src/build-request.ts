import { type Bus, BusError } from '@enclaver/bus';
import { Interruption } from './interruption.ts';
import { formatFailure } from './output/failure.ts';
import { ProgressLine } from './output/progress.ts';

/**
 * Sends a request that starts a build and shows its progress. SIGINT and SIGTERM cancel it, a second one does not wait; the
 * answer is undefined then.
 */
export async function withBuild<T>(bus: Bus, buildId: string, request: () => Promise<T>): Promise<T | undefined> {
  const progress = new ProgressLine();
  const interruption = new Interruption();
  const stopProgress = await bus.onBuildProgress(buildId, (update) => progress.show(update));
  interruption.onFirst(() => {
    progress.end();
    process.stderr.write('cancelling; once more to end at once\n');
    bus.request('builder', 'cancel', { buildId }).catch((error: unknown) => {
      process.stderr.write(formatFailure(error));
    });
  });
  try {
    return await request();
  } catch (error) {
    if (interruption.seen && error instanceof BusError && error.code === 'BUILD_CANCELLED') return undefined;
    throw error;
  } finally {
    interruption.close();
    stopProgress();
    progress.end();
  }
}
