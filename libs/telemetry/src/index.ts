export { type HttpAddress, parseHttpAddress } from './http-address.ts';
export { HttpListener } from './http-server.ts';
export { limits as telemetryLimits } from './limits.ts';
export type { Counter, Gauge, Histogram, MetricDefinition } from './metric.ts';
export { Metrics } from './metrics.ts';
export { addProcessMetrics } from './process-metrics.ts';
export {
  currentTraceparent,
  inSpan,
  type OpenSpan,
  openSpan,
  type SpanAttributes,
  type SpanOptions,
  startTracing,
  stopTracing,
  traced,
} from './tracing.ts';
