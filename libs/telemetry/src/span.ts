export type SpanKind = 'internal' | 'server' | 'client' | 'consumer';
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  kind?: SpanKind;
  attributes?: SpanAttributes;
  /** `traceparent` of the span above; default: the one that is worked in. */
  parent?: string | undefined;
  startTime?: Date;
}

export interface OpenSpan {
  /** Undefined where nothing is traced. */
  readonly traceparent: string | undefined;
  set(attributes: SpanAttributes): void;
  /** Once. With an error the span is a failed one. */
  end(how?: { error?: unknown; time?: Date }): void;
}

/** What the SDK has to do for us. */
export interface Tracer {
  open(name: string, options: SpanOptions): OpenSpan;
  /** Sends what is not sent yet. */
  shutdown(): Promise<void>;
}
