import { type EnclaveRecord, type EnclaveState, enclaveStates, hasEnded } from '@enclaver/bus';
import type { Metrics } from '@enclaver/telemetry';
import type { EnclaveFigures } from '@enclaver/wire';

/** Figures of `libs/wire` (status.ts). Gauges, since nobody vouches that they only grow. */
const REPORTED = {
  memoryTotalBytes: 'memory of its machine, as its kernel has it.',
  memoryAvailableBytes: 'memory that programs in it could still get.',
  odynResidentBytes: 'resident memory of odyn.',
  ingressAccepted: 'connections let in, all ports together.',
  ingressRefused: 'connections refused: bounds, rates and rules for clients.',
  egressOpened: 'egress connections made.',
  egressRefused: 'egress connections and look-ups refused by the policy.',
  egressFailed: 'egress allowed, and not reached.',
  kmsAttested: 'KMS calls with attestation whose answers were opened.',
  kmsForwarded: 'KMS calls passed on as they are.',
  kmsRefused: 'KMS calls not sent on.',
  kmsFailed: 'KMS calls that failed on our side.',
} as const satisfies Record<keyof EnclaveFigures, string>;

/** What the supervisor counts, made from the records of its enclaves alone. */
export function enclaveMetrics(metrics: Metrics) {
  const since = Date.now();
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
  const reported = Object.entries(REPORTED).map(([figure, help]) => ({
    figure,
    gauge: metrics.gauge({
      name: `enclaver_enclave_reported_${figure.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
      help: `As the enclave says, with metrics: true in its manifest: ${help}`,
      labels: ['enclave'],
    }),
  }));
  return {
    /** States can be passed over where they follow each other fast, but not their times: each counts once, from our start on. */
    onChange(before: EnclaveRecord | undefined, now: EnclaveRecord): void {
      const enclave = now.name;
      const isNew = (state: EnclaveState): boolean =>
        before?.times[state] === undefined && Date.parse(now.times[state] ?? '') >= since;
      if (isNew('requested')) starts.add({ enclave, reason: reasonOf(now) });
      if (isNew('ready')) boot.observe({ backend: now.backend }, untilReady(now));
      if (hasEnded(now.state) && isNew(now.state)) ends.add({ enclave, kind: now.result?.kind ?? now.state });
    },
    /** Sets what is so now; called when somebody asks. */
    show(records: readonly EnclaveRecord[]): void {
      for (const state of enclaveStates) {
        byState.set({ state }, records.filter((record) => record.state === state).length);
      }
      for (const gauge of [up, memory, cpus, ...reported.map(({ gauge }) => gauge)]) gauge.clear();
      for (const { name: enclave, state, memoryMb, cpuCount, figures = {} } of records) {
        if (hasEnded(state)) continue;
        up.set({ enclave }, state === 'ready' ? 1 : 0);
        memory.set({ enclave }, memoryMb * 1024 * 1024);
        cpus.set({ enclave }, cpuCount);
        for (const { figure, gauge } of reported) {
          const value = figures[figure];
          if (value !== undefined) gauge.set({ enclave }, value);
        }
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
