import { setTimeout as sleep } from 'node:timers/promises';
import {
  addProcessMetrics,
  type HttpAddress,
  HttpListener,
  Metrics,
  parseHttpAddresses,
  startTracing,
  stopTracing,
  telemetryLimits,
} from '@enclaver/telemetry';
import { destination, type Logger, pino } from 'pino';
import * as z from 'zod';
import { Bus } from './bus.ts';
import { toErrorData } from './bus-error.ts';
import { addBusMetrics } from './bus-metrics.ts';
import { watchStability } from './bus-stability.ts';
import { watchStoring } from './bus-storing.ts';

/** Environment that every service takes; a service extends it with its own names. */
export const serviceEnvSchema = z.object({
  /** File with the bus credentials, see `readCredentials`. */
  ENCLAVER_BUS: z.string().min(1),
  ENCLAVER_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Where `/metrics`, `/healthz` and `/readyz` are served: nowhere, unless it is set. */
  ENCLAVER_HTTP: z
    .string()
    .transform((text, context): HttpAddress[] => {
      const addresses = parseHttpAddresses(text);
      if (addresses !== undefined) return addresses;
      context.addIssue({
        code: 'custom',
        message: 'allowed are a port (on 127.0.0.1), host:port and unix:/absolute/path, with commas between several',
      });
      return z.NEVER;
    })
    .default([]),
});

export type ServiceEnv = z.infer<typeof serviceEnvSchema>;

/** What a running service gives back: `close` ends it, work under way finished. */
export interface RunningService {
  close(): Promise<void>;
  /** Resolves when the service has nothing to do any more and shall end, with the exit status. */
  ended?: Promise<number>;
}

export interface ServiceDefinition<E extends ServiceEnv> {
  /** Name on the bus and in the logs. */
  name: string;
  env: z.ZodType<E>;
  version: string;
  /** How long `close` may take; by default what suits services that finish what is under way. */
  closeMs?(env: E): number;
  /** `metrics` takes what the service counts; `bus.warnings` what is not as it should be. */
  start(context: { bus: Bus; env: E; logger: Logger; metrics: Metrics }): Promise<RunningService>;
}

/** A clean end takes the longest drain of any service and then some; what hangs past it is cut. */
const CLOSE_TIMEOUT_MS = 30_000;

/**
 * The life of a service as a process. Exit status 0 after SIGTERM or SIGINT, 1 when the bus is closed for good or the
 * service fails, 2 for a configuration that is not valid, its own when it ends by itself. Logs are JSON on stderr; stdout is left to the service.
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

  const metrics = new Metrics();
  addProcessMetrics(metrics, { service: definition.name, version: definition.version });
  const busMetrics = addBusMetrics(metrics);
  const parts: { bus?: Bus; service?: RunningService } = {};
  const notReady = (): string[] => [
    ...(parts.bus?.isConnected === true ? [] : ['the bus is not connected']),
    ...(parts.bus?.isStoring === false ? ['the bus is there and stores nothing'] : []),
    ...(parts.service === undefined ? ['the service starts, or ends'] : []),
  ];
  const http = env.data.ENCLAVER_HTTP.map((address) => listenWhenFree(address, { metrics, notReady }, logger));

  const problem = (text: string): void => logger.warn({ code: 'TRACES_NOT_SENT' }, text);
  await startTracing({ name: definition.name, version: definition.version }, problem).catch(fail);
  const connecting = Bus.connect({ source: definition.name, credentials: env.data.ENCLAVER_BUS });
  const bus = await connecting.catch(fail);
  parts.bus = bus;
  busMetrics.follow(bus);
  watchStability(bus);
  watchStoring(bus, logger);
  bus.onRefused((error) => logger.error(toErrorData(error), 'refused'));
  bus.warnings.onError = (error) => logger.error({ err: error }, 'warning not written to the bus');
  const service = await definition.start({ bus, env: env.data, logger, metrics }).catch(fail);
  parts.service = service;
  logger.info('service started');
  const status = await Promise.race([
    stopped.promise.then(() => 0),
    bus.closed().then(() => 1),
    ...(service.ended === undefined ? [] : [service.ended]),
  ]);
  delete parts.service;
  logger.info({ status }, 'service ends');
  const ended = service.close().then(() => bus.close());
  const closeMs = definition.closeMs?.(env.data) ?? CLOSE_TIMEOUT_MS;
  const inTime = await Promise.race([ended.then(() => true), sleep(closeMs, false)]).catch(fail);
  await Promise.all(http.map((each) => each.close()));
  await stopTracing().catch((error: Error) => problem(error.message));
  if (!inTime) logger.error({ code: 'CLOSE_TIMEOUT' }, `not everything ended within ${closeMs} ms`);
  process.exit(inTime ? status : 1);
}

/**
 * Serves there as soon as the address is free: an earlier process of this service may still drain. What is wrong with the
 * address is no reason not to work.
 */
function listenWhenFree(
  address: HttpAddress,
  options: Parameters<typeof HttpListener.open>[1],
  logger: Logger,
): { close(): Promise<void> } {
  let closed = false;
  let told = false;
  const open = async (): Promise<HttpListener | undefined> => {
    while (!closed) {
      try {
        return await HttpListener.open(address, options);
      } catch (error) {
        if (!told)
          logger.error({ code: 'HTTP_LISTEN_FAILED', err: error, address }, 'metrics and health are not served yet');
        told = true;
        await sleep(telemetryLimits.httpRetryMs, undefined, { ref: false });
      }
    }
    return undefined;
  };
  const listener = open();
  return {
    close: async () => {
      closed = true;
      await (await listener)?.close();
    },
  };
}
