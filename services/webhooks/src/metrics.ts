import type { Metrics } from '@enclaver/telemetry';

export type WebhookMetrics = ReturnType<typeof webhookMetrics>;

export function webhookMetrics(metrics: Metrics) {
  return {
    requests: metrics.counter({
      name: 'enclaver_webhook_requests_total',
      help: 'Requests to the target of a webhook.',
      labels: ['target', 'outcome'],
    }),
    dead: metrics.counter({
      name: 'enclaver_webhook_dead_total',
      help: 'Events given up because the target took them in none of the tries.',
      labels: ['target'],
    }),
  };
}
