import { DiagLogLevel, diag, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { limits } from './limits.ts';
import type { OpenSpan, SpanOptions, Tracer } from './span.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
} as const;

/** Spans to a collector over OTLP in HTTP and JSON; the exporter reads the `OTEL_EXPORTER_OTLP_*` variables itself. */
export function openTracer(
  { name, version }: { name: string; version: string },
  onProblem: (text: string) => void,
): Tracer {
  const ignore = (): void => undefined;
  const log = { error: onProblem, warn: onProblem, info: ignore, debug: ignore, verbose: ignore };
  diag.setLogger(log, DiagLogLevel.WARN);
  const processor = new BatchSpanProcessor({
    exporter: new OTLPTraceExporter({ timeoutMillis: limits.traceExportMs }),
    maxQueueSize: limits.traceSpans,
    scheduledDelayMillis: limits.traceEveryMs,
    exportTimeoutMillis: limits.traceExportMs,
  });
  const ours = resourceFromAttributes({ 'service.name': `enclaver-${name}`, 'service.version': version });
  const resource = defaultResource()
    .merge(ours)
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({ resource, spanProcessors: [processor] });
  const tracer = provider.getTracer('enclaver', version);

  return {
    open: (spanName, { kind = 'internal', attributes = {}, parent, startTime }: SpanOptions): OpenSpan => {
      const above = parent === undefined ? undefined : parseTraceparent(parent);
      const context =
        above === undefined
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, {
              traceId: above.traceId,
              spanId: above.spanId,
              traceFlags: above.flags & TraceFlags.SAMPLED,
              isRemote: true,
            });
      const options = { kind: KINDS[kind], attributes, ...(startTime === undefined ? {} : { startTime }) };
      const span = tracer.startSpan(spanName, options, context);
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        traceparent: formatTraceparent({ traceId, spanId, flags: traceFlags }),
        set: (more) => void span.setAttributes(more),
        end: ({ error, time } = {}) => {
          if (error !== undefined) {
            const { message, code } =
              error instanceof Error ? (error as Error & { code?: unknown }) : { message: String(error) };
            span.setStatus({ code: SpanStatusCode.ERROR, message });
            if (typeof code === 'string') span.setAttribute('error.type', code);
          }
          span.end(time);
        },
      };
    },
    shutdown: () => provider.shutdown(),
  };
}
