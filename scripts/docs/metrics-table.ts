import { addProcessMetrics, Metrics } from '@enclaver/telemetry';
import { addBusMetrics } from '../../libs/bus/src/bus-metrics.ts';
import { builderMetrics } from '../../services/builder/src/metrics.ts';
import { LogMetrics } from '../../services/log-relay/src/log-metrics.ts';
import { httpMetrics } from '../../services/outer-proxy/src/http/http-metrics.ts';
import { proxyMetrics } from '../../services/outer-proxy/src/metrics.ts';
import { enclaveMetrics } from '../../services/supervisor/src/watch/enclave-metrics.ts';
import { type DocSection, markdownTable } from '../doc-section.ts';

export const metricsSection: DocSection = { script: 'scripts/docs/metrics.ts', name: 'metrics' };

const sources: readonly { service: string; define: (metrics: Metrics) => unknown }[] = [
  { service: 'supervisor', define: enclaveMetrics },
  { service: 'outer-proxy', define: proxyMetrics },
  { service: 'outer-proxy', define: httpMetrics },
  { service: 'log-relay', define: (metrics) => new LogMetrics(metrics) },
  { service: 'builder', define: builderMetrics },
  { service: 'all', define: addBusMetrics },
  { service: 'all', define: (metrics) => addProcessMetrics(metrics, { service: '', version: '' }) },
];

/** A row for each metric that a service registers. */
export function metricsTable(): string {
  const rows = sources.flatMap(({ service, define }) => {
    const metrics = new Metrics();
    define(metrics);
    return metrics
      .definitions()
      .map(({ name, type, labels = [], help }) => [
        `\`${name}\``,
        service,
        type,
        labels.map((label) => `\`${label}\``).join(', '),
        help,
      ]);
  });
  return markdownTable([['Metric', 'Service', 'Type', 'Labels', 'Means'], ...rows]);
}
