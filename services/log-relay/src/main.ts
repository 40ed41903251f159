import { runService } from '@enclaver/bus/service';
import { envSchema } from './config.ts';
import { LogRelay } from './log-relay.ts';
import { VERSION } from './version.ts';

await runService({
  name: 'log-relay',
  version: VERSION,
  env: envSchema,
  start: async ({ bus, env, logger }) => {
    const relay = new LogRelay(bus, logger, env.ENCLAVER_LOG_STDOUT);
    await relay.start();
    await bus.announce('log-relay', VERSION);
    return relay;
  },
});
