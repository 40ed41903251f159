import { type EnclaveRecord, enclaveStates, hasEnded } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';

export type EnclaveMetrics = ReturnType<typeof enclaveMetrics>;

/** What the supervisor counts, made from the records of its enclaves alone. */
export function enclaveMetrics(metrics: Metrics) {
  const byState = metrics.gauge({
    name: 'enclaver_enclaves',
    help: 'Enclaves by state, with those that ended and are remembered.',
    labels: ['state'],
  });
  const up = metrics.gauge({
    name: 'enclaver_enclave_up',
    help: '1 while the enclave is ready, 0 while it is not (yet, or unhealthy); none once it has ended.',
    labels: ['enclave'],
  });
  const memory = metrics.gauge({
    name: 'enclaver_enclave_memory_bytes',
    help: 'Memory that the enclave was given.',
    labels: ['enclave'],
  });
  const cpus = metrics.gauge({
    name: 'enclaver_enclave_cpus',
    help: 'CPUs that the enclave was given.',
    labels: ['enclave'],
  });
  const starts = metrics.counter({
    name: 'enclaver_enclave_starts_total',
    help: 'Enclaves accepted, by what for: run, restart or update.',
    labels: ['enclave', 'reason'],
  });
  const ends = metrics.counter({
    name: 'enclaver_enclave_ends_total',
    help: 'Enclaves ended, by kind: exited, signaled, fatal, failed or lost.',
    labels: ['enclave', 'kind'],
  });
  const boot = metrics.histogram({
    name: 'enclaver_enclave_ready_seconds',
    help: 'Time from acceptance to the first ready.',
    labels: ['backend'],
    buckets: [0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120],
  });
  return {
    onChange(before: EnclaveRecord | undefined, now: EnclaveRecord): void {
      const enclave = now.name;
      if (before === undefined && now.state === 'requested') starts.add({ enclave, reason: reasonOf(now) });
      if (before === undefined || before.state === now.state) return;
      if (now.state === 'ready' && before.times.ready === undefined)
        boot.observe({ backend: now.backend }, untilReady(now));
      if (hasEnded(now.state) && !hasEnded(before.state)) ends.add({ enclave, kind: now.result?.kind ?? now.state });
    },
    /** Sets what is so now; called when somebody asks. */
    show(records: readonly EnclaveRecord[]): void {
      for (const state of enclaveStates) {
        byState.set({ state }, records.filter((record) => record.state === state).length);
      }
      for (const gauge of [up, memory, cpus]) gauge.clear();
      for (const { name: enclave, state, memoryMb, cpuCount } of records) {
        if (hasEnded(state)) continue;
        up.set({ enclave }, state === 'ready' ? 1 : 0);
        memory.set({ enclave }, memoryMb * 1024 * 1024);
        cpus.set({ enclave }, cpuCount);
      }
    },
  };
}

function reasonOf({ previous, replaces }: EnclaveRecord): string {
  if (replaces !== undefined) return 'update';
  return previous === undefined ? 'run' : 'restart';
}

function untilReady({ times }: EnclaveRecord): number {
  return (Date.parse(times.ready ?? '') - Date.parse(times.requested ?? '')) / 1000;
}
