import type { Metrics } from '@enclaver/telemetry';
import type { Bus } from './bus.ts';

/** What a process says of its link to the bus. */
export function addBusMetrics(metrics: Metrics) {
  const connected = metrics.gauge({ name: 'enclaver_bus_connected', help: '1 while the bus is connected, else 0.' });
  const reconnects = metrics.counter({
    name: 'enclaver_bus_reconnects_total',
    help: 'Times that a lost connection to the bus was taken up again.',
  });
  const retries = metrics.counter({
    name: 'enclaver_bus_publish_retries_total',
    help: 'States, events and log batches sent again because the server had not stored them.',
  });
  const warnings = metrics.gauge({
    name: 'enclaver_warnings',
    help: 'Warnings that this service has raised and not cleared.',
    labels: ['severity'],
  });
  return {
    follow(bus: Bus): void {
      metrics.onCollect(() => {
        connected.set({}, bus.isConnected ? 1 : 0);
        reconnects.set({}, bus.counts.reconnects);
        retries.set({}, bus.counts.retries);
        for (const severity of ['info', 'warning', 'error'] as const) {
          warnings.set({ severity }, bus.warnings.active.filter((warning) => warning.severity === severity).length);
        }
      });
    },
  };
}
