import type { EnclaveRecord, EnclaveState } from '@enclaver/bus';
import { openSpan } from '@enclaver/telemetry';

/** The steps of a start: each lasts until the next state is entered. */
const STEPS: readonly { name: string; from: EnclaveState; to: EnclaveState }[] = [
  { name: 'open listeners', from: 'requested', to: 'launching' },
  { name: 'start machine', from: 'launching', to: 'booting' },
  { name: 'boot', from: 'booting', to: 'starting' },
  { name: 'start app', from: 'starting', to: 'ready' },
];

/** Spans of a start that has come to `ready`, made afterwards from the times in the record. */
export function traceStart({ id, name, backend, times }: EnclaveRecord, parent: string): void {
  const at = (state: EnclaveState): Date | undefined => {
    const time = times[state];
    return time === undefined ? undefined : new Date(time);
  };
  const [startTime, time] = [at('requested'), at('ready')];
  if (startTime === undefined || time === undefined) return;
  const attributes = { 'enclaver.id': id, 'enclaver.name': name, 'enclaver.backend': backend };
  const start = openSpan('start of enclave', { parent, startTime, attributes });
  for (const { name: step, from, to } of STEPS) {
    const [begin, end] = [at(from), at(to)];
    if (begin === undefined || end === undefined) continue;
    openSpan(`start of enclave: ${step}`, { parent: start.traceparent, startTime: begin }).end({ time: end });
  }
  start.end({ time });
}
