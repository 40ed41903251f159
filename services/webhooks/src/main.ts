import { runService } from '@enclaver/bus/service';
import manifest from '../package.json' with { type: 'json' };
import { envSchema, readTargets } from './config.ts';
import { webhookMetrics } from './metrics.ts';
import { Webhooks } from './webhooks.ts';

await runService({
  name: 'webhooks',
  version: manifest.version,
  env: envSchema,
  start: async ({ bus, env, logger, metrics }) => {
    const targets = await readTargets(env.ENCLAVER_WEBHOOKS);
    const webhooks = await Webhooks.start({ bus, targets, logger, metrics: webhookMetrics(metrics) });
    await bus.announce('webhooks', manifest.version);
    return webhooks;
  },
});
