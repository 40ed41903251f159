import type { EnclaveRecord, PlannedRestart } from '@enclaver/bus';
import type { Unplaced } from '../admission/admission.ts';
import { newEnclaveId } from '../enclave-id.ts';
import type { Limits } from '../limits.ts';

type Bounds = Pick<Limits, 'restartPauseMs' | 'restartPauseMaxMs' | 'restartHealthyMs'>;

/**
 * The restart that follows an enclave which has ended, by its policy. None after a stop that somebody asked for, none after a
 * refusal (what never got as far as a machine the first time), and none for the new enclave of an update, whose end leaves the old
 * one in its place. `wellMs`: how long it was ready.
 */
export function planRestart(ended: EnclaveRecord, wellMs: number, bounds: Bounds): PlannedRestart | undefined {
  const { restart = { policy: 'no' }, restarts = 0, state, times, result, takesOver } = ended;
  if (restart.policy === 'no' || times.stopping !== undefined || takesOver !== undefined) return undefined;
  if (restarts === 0 && state === 'failed' && times.launching === undefined) return undefined;
  const streak = wellMs >= bounds.restartHealthyMs ? 0 : (ended.streak ?? 0);
  if (restart.policy === 'on-failure') {
    if (result?.kind === 'exited' && result.code === 0) return undefined;
    if (restart.max !== undefined && streak >= restart.max) return undefined;
  }
  return { id: newEnclaveId(), afterMs: pauseMs(streak, bounds), restarts: restarts + 1, streak: streak + 1 };
}

/** Jitter keeps enclaves that ended together from starting together. */
function pauseMs(streak: number, { restartPauseMs, restartPauseMaxMs }: Bounds): number {
  const longest = Math.min(restartPauseMs * 2 ** Math.min(streak, 30), restartPauseMaxMs);
  return Math.round((longest / 2) * (1 + Math.random()));
}

/** The record of the enclave that a planned restart starts: as the one that ended, on the ports that it had. */
export function successorOf(ended: EnclaveRecord, { id, restarts, streak }: PlannedRestart): Unplaced {
  const { name, backend, eif, measurements, cpuCount, memoryMb, debug, ingress, egress } = ended;
  const { storeOwner, limits, restart, startTimeoutMs } = ended;
  return {
    ...{ id, name, state: 'requested', backend, eif, measurements, cpuCount, memoryMb, debug, ingress, egress },
    ...(storeOwner === undefined ? {} : { storeOwner }),
    ...(limits === undefined ? {} : { limits }),
    ...(restart === undefined ? {} : { restart }),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    ...{ restarts, streak, previous: ended.id },
    times: { requested: new Date().toISOString() },
  };
}
