import type { AsyncLocalStorage } from 'node:async_hooks';
import type { OpenSpan, SpanOptions, Tracer } from './span.ts';

/**
 * Spans for OpenTelemetry. Its SDK is loaded only where `OTEL_EXPORTER_OTLP_ENDPOINT` is set; without it a span costs a call.
 */

const NO_SPAN: OpenSpan = { traceparent: undefined, set: () => undefined, end: () => undefined };

let tracer: Tracer | undefined;
let active: AsyncLocalStorage<string | undefined> | undefined;

/** Starts tracing if the environment asks for it. `onProblem` hears why spans do not reach their collector. */
export async function startTracing(
  service: { name: string; version: string },
  onProblem: (text: string) => void,
): Promise<void> {
  if (process.env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return;
  const [{ openTracer }, { AsyncLocalStorage }] = await Promise.all([
    import('./trace-sdk.ts'),
    import('node:async_hooks'),
  ]);
  tracer = openTracer(service, onProblem);
  active = new AsyncLocalStorage();
}

/** Sends what is not sent yet, within a bounded time; nothing is traced from here on. */
export async function stopTracing(): Promise<void> {
  const stopped = tracer?.shutdown();
  tracer = undefined;
  await stopped;
}

/** `traceparent` of the span that is worked in, to be passed on. */
export function currentTraceparent(): string | undefined {
  return active?.getStore();
}

/** A span that somebody ends later. */
export function openSpan(name: string, options: SpanOptions = {}): OpenSpan {
  return tracer?.open(name, { parent: currentTraceparent(), ...options }) ?? NO_SPAN;
}

/** Runs the task, and all that it starts, as work in that span. */
export function inSpan<T>(traceparent: string | undefined, task: () => T): T {
  return active === undefined ? task() : active.run(traceparent, task);
}

/** A span around a task; what the task rejects with ends it as failed. */
export function traced<T>(name: string, options: SpanOptions, task: (span: OpenSpan) => Promise<T>): Promise<T> {
  return tracer === undefined ? task(NO_SPAN) : inNewSpan(name, options, task);
}

async function inNewSpan<T>(name: string, options: SpanOptions, task: (span: OpenSpan) => Promise<T>): Promise<T> {
  const span = openSpan(name, options);
  try {
    const result = await inSpan(span.traceparent, () => task(span));
    span.end();
    return result;
  } catch (error) {
    span.end({ error });
    throw error;
  }
}
