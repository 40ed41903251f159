export { type HttpAddress, parseHttpAddresses } from './http-address.ts';
export { HttpListener } from './http-server.ts';
export { limits as telemetryLimits } from './limits.ts';
export type { Counter, Gauge, Histogram, MetricDefinition } from './metric.ts';
export { Metrics } from './metrics.ts';
export { addProcessMetrics } from './process-metrics.ts';
export type { OpenSpan, SpanAttributes, SpanOptions } from './span.ts';
export {
  currentTraceparent,
  inSpan,
  openSpan,
  startTracing,
  stopTracing,
  traced,
} from './tracing.ts';
