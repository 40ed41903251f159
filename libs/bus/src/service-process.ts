import { setTimeout as sleep } from 'node:timers/promises';
import { destination, type Logger, pino } from 'pino';
import * as z from 'zod';
import { Bus } from './bus.ts';
import { toErrorData } from './bus-error.ts';

/** Environment that every service takes; a service extends it with its own names. */
export const serviceEnvSchema = z.object({
  /** File with the bus credentials, see `readCredentials`. */
  ENCLAVER_BUS: z.string().min(1),
  ENCLAVER_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export type ServiceEnv = z.infer<typeof serviceEnvSchema>;

/** What a running service gives back: `close` ends it, work under way finished. */
export interface RunningService {
  close(): Promise<void>;
}

export interface ServiceDefinition<E extends ServiceEnv> {
  /** Name on the bus and in the logs. */
  name: string;
  env: z.ZodType<E>;
  start(context: { bus: Bus; env: E; logger: Logger }): Promise<RunningService>;
}

/** A clean end takes the longest drain of any service and then some; what hangs past it is cut. */
const CLOSE_TIMEOUT_MS = 30_000;

/**
 * The life of a service as a process. Exit status 0 after SIGTERM or SIGINT, 1 when the bus is closed for good or the
 * service fails, 2 for a configuration that is not valid. Logs are JSON on stderr; stdout is left to the service.
 */
export async function runService<E extends ServiceEnv>(definition: ServiceDefinition<E>): Promise<void> {
  // Synchronous: the last line before an exit is the one that matters
  const logger = pino({ name: definition.name }, destination({ dest: 2, sync: true }));
  const env = definition.env.safeParse(process.env);
  if (!env.success) {
    const remedy = 'set the environment variables named in the message; docs/services.md lists them all';
    logger.fatal({ code: 'CONFIG_INVALID', remedy }, z.prettifyError(env.error));
    process.exit(2);
  }
  logger.level = env.data.ENCLAVER_LOG_LEVEL;

  const fail = (error: unknown): never => {
    logger.fatal({ ...toErrorData(error), err: error }, 'service failed');
    process.exit(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  const stopped = Promise.withResolvers<void>();
  const stop = (): void => stopped.resolve();
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  const connecting = Bus.connect({ source: definition.name, credentials: env.data.ENCLAVER_BUS });
  const bus = await connecting.catch(fail);
  const service = await definition.start({ bus, env: env.data, logger }).catch(fail);
  logger.info('service started');
  const lost = await Promise.race([stopped.promise.then(() => false), bus.closed().then(() => true)]);
  logger.info({ lost }, 'service ends');
  const ended = service.close().then(() => bus.close());
  const inTime = await Promise.race([ended.then(() => true), sleep(CLOSE_TIMEOUT_MS, false)]).catch(fail);
  if (!inTime) logger.error({ code: 'CLOSE_TIMEOUT' }, `not everything ended within ${CLOSE_TIMEOUT_MS} ms`);
  process.exit(lost || !inTime ? 1 : 0);
}
