/** Bounds of what a process keeps and serves for those who watch it. */
export const limits = {
  /** Series of one metric: an enclave has a handful of label values, a host at most 256 enclaves at a time. */
  seriesPerMetric: 1_024,
  /** A label value: the name of an enclave has at most 128 characters. */
  labelLength: 128,
  /** A Prometheus, a health check and a person with curl, some of each at once. */
  httpConnections: 16,
  /** A whole connection: one request and its answer, on the same machine. */
  httpConnectionMs: 5_000,
  /** Head of a request: scrapers send some 300 bytes. */
  httpHeadBytes: 8 * 1024,
  /** Until a taken address is tried again: an earlier process of this service may still drain. */
  httpRetryMs: 1_000,
  /** Between two looks at the event loop: seldom enough that an idle process stays idle. */
  loopLagEveryMs: 1_000,
  /** Spans that wait for the collector: some ten for a request or a start; what comes on top is dropped. */
  traceSpans: 2_048,
  /** Between two batches to the collector, and for one of them: a command waits that long at its end at most. */
  traceEveryMs: 2_000,
  traceExportMs: 3_000,
} as const;
