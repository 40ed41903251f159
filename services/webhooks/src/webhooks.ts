import type { Bus } from '@enclaver/bus';
import type { Logger } from 'pino';
import type { Target } from './config.ts';
import type { Limits } from './limits.ts';
import type { WebhookMetrics } from './metrics.ts';
import { TargetWarnings } from './target-warnings.ts';
import { Webhook } from './webhook.ts';

export interface WebhooksOptions {
  bus: Bus;
  targets: readonly Target[];
  logger: Logger;
  metrics: WebhookMetrics;
  limits?: Limits;
}

/** All webhooks of this process. A fault of one is a fault of the service, which is started again. */
export class Webhooks {
  readonly #webhooks: readonly Webhook[];

  private constructor(webhooks: readonly Webhook[]) {
    this.#webhooks = webhooks;
  }

  static async start({ targets, ...options }: WebhooksOptions): Promise<Webhooks> {
    const warnings = new TargetWarnings(options.bus.warnings);
    const webhooks = targets.map((target) => new Webhook({ ...options, warnings, target }));
    const fail = (error: unknown): void => {
      throw error;
    };
    for (const webhook of webhooks) await webhook.start(fail);
    return new Webhooks(webhooks);
  }

  async close(): Promise<void> {
    await Promise.all(this.#webhooks.map((webhook) => webhook.close()));
  }
}
