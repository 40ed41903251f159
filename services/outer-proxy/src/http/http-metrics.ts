import type { Metrics } from '@enclaver/telemetry';
import type { OnRequestEnd } from './request-entry.ts';

/** What HTTP mode counts, of requests for an enclave. */
export function httpMetrics(metrics: Metrics): OnRequestEnd {
  const ended = metrics.counter({
    name: 'enclaver_proxy_http_requests_total',
    help: 'Requests of HTTP mode by the name of their enclave and by how they ended: answered, aborted (the client or the enclave went away), failed, timedOut, busy (over the bound on open ones), limited (over the rate).',
    labels: ['enclave', 'outcome'],
  });
  const duration = metrics.histogram({
    name: 'enclaver_proxy_http_request_seconds',
    help: 'Time of the requests of HTTP mode to the end of the answer; of upgraded connections to their end.',
    labels: ['enclave'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  });
  return ({ enclave, outcome, startedAt }) => {
    if (enclave === undefined || outcome === 'refused') return;
    ended.add({ enclave: enclave.name, outcome });
    if (outcome === 'busy' || outcome === 'limited') return;
    duration.observe({ enclave: enclave.name }, (performance.now() - startedAt) / 1000);
  };
}
