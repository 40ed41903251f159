import type { Metrics } from '@enclaver/telemetry';

/** Sums of one enclave since its listeners were opened, and what is open. */
export interface ProxyCounts {
  ingress: DirectionCounts;
  egress: DirectionCounts;
  /** Times that a listener paused for want of descriptors or memory. */
  acceptErrors: number;
  /** What the relay has done for it. */
  relaySeconds: number;
}

interface DirectionCounts {
  open: number;
  accepted: number;
  /** Over the bound on open connections. */
  refused: number;
  rateLimited: number;
  unreachable: number;
  /** From whoever connects, and back. */
  bytesIn: number;
  bytesOut: number;
}

/** What the outer-proxy counts, by enclave and direction. */
export function proxyMetrics(metrics: Metrics) {
  const labels = ['enclave', 'direction'] as const;
  const open = metrics.gauge({ name: 'enclaver_proxy_connections', help: 'Connections that are open.', labels });
  const accepted = metrics.counter({
    name: 'enclaver_proxy_connections_total',
    help: 'Connections accepted.',
    labels,
  });
  const refused = metrics.counter({
    name: 'enclaver_proxy_refused_total',
    help: 'Connections that led nowhere: over a bound (limit) or a rate (rate), or the target could not be reached (unreachable).',
    labels: ['enclave', 'direction', 'reason'],
  });
  const bytes = metrics.counter({
    name: 'enclaver_proxy_bytes_total',
    help: 'Bytes passed on: in from whoever connects, out to it.',
    labels: ['enclave', 'direction', 'way'],
  });
  const acceptErrors = metrics.counter({
    name: 'enclaver_proxy_accept_errors_total',
    help: 'Times that a listener paused for want of descriptors or memory.',
    labels: ['enclave'],
  });
  const relaySeconds = metrics.counter({
    name: 'enclaver_proxy_relay_seconds_total',
    help: 'Time that the relay has worked for the enclave; where it is busy all the time, enclaves that want more have equal parts.',
    labels: ['enclave'],
  });
  return {
    /** Adds what has come since `before`, which is of the same listeners. */
    add(enclave: string, before: ProxyCounts | undefined, now: ProxyCounts): void {
      for (const direction of ['ingress', 'egress'] as const) {
        const grown = (of: keyof DirectionCounts): number => now[direction][of] - (before?.[direction][of] ?? 0);
        accepted.add({ enclave, direction }, grown('accepted'));
        refused.add({ enclave, direction, reason: 'limit' }, grown('refused'));
        refused.add({ enclave, direction, reason: 'rate' }, grown('rateLimited'));
        refused.add({ enclave, direction, reason: 'unreachable' }, grown('unreachable'));
        bytes.add({ enclave, direction, way: 'in' }, grown('bytesIn'));
        bytes.add({ enclave, direction, way: 'out' }, grown('bytesOut'));
      }
      acceptErrors.add({ enclave }, now.acceptErrors - (before?.acceptErrors ?? 0));
      relaySeconds.add({ enclave }, now.relaySeconds - (before?.relaySeconds ?? 0));
    },
    showOpen(all: readonly { enclave: string; counts: ProxyCounts }[]): void {
      open.clear();
      for (const { enclave, counts } of all) {
        for (const direction of ['ingress', 'egress'] as const)
          open.set({ enclave, direction }, counts[direction].open);
      }
    },
  };
}
