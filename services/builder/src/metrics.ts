import { toErrorData } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';

/** What the builder counts. */
export function builderMetrics(metrics: Metrics) {
  const ended = metrics.counter({
    name: 'enclaver_builder_operations_total',
    help: 'Builds, rebuilds (verify-build) and extractions that ended, by the code of their error or OK.',
    labels: ['operation', 'code'],
  });
  const seconds = metrics.histogram({
    name: 'enclaver_builder_operation_seconds',
    help: 'Time of the operations, failed ones too, without their wait for a place.',
    labels: ['operation'],
    buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800],
  });
  const running = metrics.gauge({ name: 'enclaver_builder_running', help: 'Operations that run now.' });
  let count = 0;
  metrics.onCollect(() => running.set({}, count));
  return {
    /** Counts the task, whatever becomes of it. */
    async count<T>(operation: string, task: () => Promise<T>): Promise<T> {
      const startedAt = performance.now();
      count += 1;
      let code = 'OK';
      try {
        return await task();
      } catch (error) {
        ({ code } = toErrorData(error));
        throw error;
      } finally {
        count -= 1;
        ended.add({ operation, code });
        seconds.observe({ operation }, (performance.now() - startedAt) / 1000);
      }
    },
  };
}
