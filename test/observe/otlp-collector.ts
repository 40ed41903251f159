import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const nanoseconds = z.string().regex(/^\d{19}$/);
const attributes = z.array(
  z.object({
    key: z.string(),
    value: z.union([
      z.strictObject({ stringValue: z.string() }),
      z.strictObject({ intValue: z.union([z.int(), z.string()]) }),
      z.strictObject({ doubleValue: z.number() }),
      z.strictObject({ boolValue: z.boolean() }),
    ]),
  }),
);

/** What the OTLP specification asks of an ExportTraceServiceRequest in JSON, as far as we use it. */
const requestSchema = z.object({
  resourceSpans: z
    .array(
      z.object({
        resource: z.object({ attributes: attributes.or(z.array(z.unknown())) }),
        scopeSpans: z.array(
          z.object({
            scope: z.object({ name: z.string() }),
            spans: z
              .array(
                z.object({
                  traceId: hex(16),
                  spanId: hex(8),
                  parentSpanId: hex(8).optional(),
                  name: z.string().min(1),
                  kind: z.int().min(1).max(5),
                  startTimeUnixNano: nanoseconds,
                  endTimeUnixNano: nanoseconds,
                  attributes,
                  status: z.object({ code: z.int().min(0).max(2).optional(), message: z.string().optional() }),
                }),
              )
              .min(1),
          }),
        ),
      }),
    )
    .min(1),
});

type WireSpan = z.infer<typeof requestSchema>['resourceSpans'][number]['scopeSpans'][number]['spans'][number];

export interface CollectedSpan extends WireSpan {
  service: string;
}

/**
 * Stands in for an OpenTelemetry collector: takes traces over HTTP in JSON on loopback, refuses what the specification would,
 * and keeps the spans.
 */
export class OtlpCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  /** Why requests were refused. */
  readonly refused: string[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const body = await text(request);
      const isTraces = request.method === 'POST' && request.url === '/v1/traces';
      const isJson = request.headers['content-type'] === 'application/json';
      const parsed = isTraces && isJson ? requestSchema.safeParse(JSON.parse(body)) : undefined;
      if (parsed?.success) {
        for (const { resource, scopeSpans } of parsed.data.resourceSpans) {
          const pairs = resource.attributes as { key: string; value: { stringValue?: string } }[];
          const service = pairs.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
          for (const { spans } of scopeSpans) this.spans.push(...spans.map((span) => ({ ...span, service })));
        }
      } else
        this.refused.push(parsed === undefined ? `${request.method} ${request.url}` : z.prettifyError(parsed.error));
      response.writeHead(parsed?.success ? 200 : 400, { 'Content-Type': 'application/json' }).end('{}');
    });
  }

  static async start(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  /** What a process needs to send its spans here. */
  get env(): { OTEL_EXPORTER_OTLP_ENDPOINT: string } {
    return { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  /** The span of that name, as soon as it is here. */
  async span(name: string): Promise<CollectedSpan> {
    for (;;) {
      const found = this.spans.find((span) => span.name === name);
      if (found !== undefined) return found;
      await sleep(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
