import { runService } from '@enclaver/bus/service';
import { envSchema } from './config.ts';
import { LogMetrics } from './log-metrics.ts';
import { LogRelay } from './log-relay.ts';
import { LogSinks } from './sinks/log-sinks.ts';
import { VERSION } from './version.ts';

await runService({
  name: 'log-relay',
  version: VERSION,
  env: envSchema,
  start: async ({ bus, env, logger, metrics }) => {
    const logMetrics = new LogMetrics(metrics);
    // Before the first line of an enclave is read: a new sink gets what comes from now on
    const sinks = await LogSinks.start(bus, env.ENCLAVER_LOG_SINKS, logger, logMetrics);
    process.on('SIGHUP', () => sinks.reopen());
    const relay = new LogRelay(bus, logger, { sinks, metrics: logMetrics });
    metrics.onCollect(() => sinks.collect(relay.newest));
    await relay.start();
    await bus.announce('log-relay', VERSION);
    return {
      close: async () => {
        await relay.close();
        await sinks.close();
      },
    };
  },
});
