import { randomUUID } from 'node:crypto';
import type { BuildProgress, Bus } from '@enclaver/bus';
import { type Metrics, traced } from '@enclaver/telemetry';
import type { Logger } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { buildEnclave } from './build.ts';
import type { BuildOptions } from './build-options.ts';
import { extractEif } from './extract.ts';
import { serviceLimits } from './limits.ts';
import { builderMetrics } from './metrics.ts';
import { removeOldEifs } from './old-eifs.ts';
import { verifyBuild } from './rebuild/verify-build.ts';
import { RunningBuilds } from './running-builds.ts';
import { StageSpans } from './stage-spans.ts';
import { throttle } from './throttle.ts';
import { removeStaleWork } from './work-dir.ts';
import { WorkQueue } from './work-queue.ts';

/** What a build or a rebuild is given besides its request. */
interface Task {
  signal: AbortSignal;
  onProgress: (progress: BuildProgress) => void;
  onWarning: (text: string) => void;
}

/** Answers the operations of `builder`; `close` lets what runs finish and refuses the rest. */
export async function startBuilder(
  bus: Bus,
  logger: Logger,
  metrics: Metrics,
  config: Pick<BuildOptions, 'dataDir' | 'runtime' | 'baseImage'>,
): Promise<{ close(): Promise<void> }> {
  await removeStaleWork(config.dataDir);
  const queue = new WorkQueue(serviceLimits);
  const builds = new RunningBuilds();
  const counted = builderMetrics(metrics);

  function work<T>(what: string, buildId: string, task: (task: Task) => Promise<T>): Promise<T> {
    const log = logger.child({ buildId });
    const stages = new StageSpans();
    const publish = throttle(
      (progress) => bus.publishBuildProgress(buildId, progress),
      serviceLimits.progressIntervalMs,
    );
    const onProgress = (progress: BuildProgress): void => {
      stages.onProgress(progress);
      publish(progress);
    };
    const onWarning = (text: string): void => {
      log.warn(text);
      onProgress({ stage: 'flatten', text: `warning: ${text}` });
    };
    return builds.run(buildId, (signal) =>
      queue.run(() => run(log, what, () => stages.around(() => task({ signal, onProgress, onWarning }))), signal),
    );
  }

  function run<T>(log: Logger, what: string, task: () => Promise<T>): Promise<T> {
    return counted.count(what, () => traced(what, {}, () => logged(log, what, task)));
  }

  /** What cannot be told to be unused stays, and stops no build. */
  const makeRoom = (): Promise<void> =>
    removeOldEifs(config.dataDir, () => bus.enclaves.list()).catch((error: unknown) => {
      logger.warn({ err: error }, 'old images are kept');
    });

  await bus.serve('builder', packageJson.version, {
    build: ({ buildId, ...request }) =>
      work('build', buildId, async (task) => {
        if (request.eifOnly === undefined) await makeRoom();
        return await buildEnclave({ ...config, ...request, ...task });
      }),
    verifyBuild: ({ buildId, ...request }) =>
      work('verify-build', buildId, (task) => verifyBuild({ ...config, ...request, ...task })),
    cancel: async ({ buildId }) => ({ cancelled: builds.cancel(buildId) }),
    extract: ({ image, ...request }) =>
      builds.run(randomUUID(), (signal) =>
        queue.run(
          () =>
            run(logger.child({ image }), 'extract', async () => {
              await makeRoom();
              return await extractEif(image, { ...config, ...request, signal });
            }),
          signal,
        ),
      ),
  });
  return { close: () => queue.close() };
}

async function logged<T>(log: Logger, what: string, task: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const ms = (): number => Math.round(performance.now() - startedAt);
  log.info(`${what} started`);
  try {
    const result = await task();
    log.info({ ms: ms() }, `${what} done`);
    return result;
  } catch (error) {
    log.warn({ ms: ms(), err: error }, `${what} failed`);
    throw error;
  }
}
