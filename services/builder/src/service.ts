import type { Bus } from '@enclaver/bus';
import type { Logger } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { type BuildOptions, buildEnclave } from './build.ts';
import { extractEif } from './extract.ts';
import { serviceLimits } from './limits.ts';
import { throttle } from './throttle.ts';
import { removeStaleWork } from './work-dir.ts';
import { WorkQueue } from './work-queue.ts';

/** Answers `builder.build` and `builder.extract`; `close` lets what runs finish and refuses the rest. */
export async function startBuilder(
  bus: Bus,
  logger: Logger,
  config: Pick<BuildOptions, 'dataDir' | 'runtime' | 'baseImage'>,
): Promise<{ close(): Promise<void> }> {
  await removeStaleWork(config.dataDir);
  const queue = new WorkQueue(serviceLimits);
  await bus.serve('builder', packageJson.version, {
    build: ({ buildId, ...request }) => {
      const log = logger.child({ buildId });
      const onProgress = throttle(
        (progress) => bus.publishBuildProgress(buildId, progress),
        serviceLimits.progressIntervalMs,
      );
      return queue.run(() =>
        logged(log, 'build', () =>
          buildEnclave({
            ...config,
            manifest: request.manifest,
            manifestFile: request.manifestFile,
            contextDir: request.contextDir,
            ...(request.pull === undefined ? {} : { pull: request.pull }),
            ...(request.eifOnly === undefined ? {} : { eifOnly: request.eifOnly }),
            onProgress,
            onWarning: (text) => {
              log.warn(text);
              onProgress({ stage: 'flatten', text: `warning: ${text}` });
            },
          }),
        ),
      );
    },
    extract: ({ image }) =>
      queue.run(() =>
        logged(logger.child({ image }), 'extract', async () => ({ eif: await extractEif(image, config.dataDir) })),
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
