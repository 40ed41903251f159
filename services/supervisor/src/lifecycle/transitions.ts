import type { EnclaveState } from '@enclaver/bus';

/** What can happen to an enclave, whoever noticed it. */
export const inputs = [
  /** The outer-proxy is ready: the machine is started. */
  'launch',
  /** The heartbeat of init arrived. */
  'booted',
  'app-starting',
  'app-ready',
  'app-unhealthy',
  /** Somebody asked for an end. */
  'stop',
  /** The app ended by itself or because it was asked to. */
  'app-ended',
  /** The inside gave up. */
  'fatal',
  /** It will not run: no listeners, no boot, or stopped before there was an app. */
  'abort',
  /** We took the machine away from an app that did not end in time. */
  'killed',
  /** The machine ended, and not by our hand. */
  'machine-gone',
] as const;

export type Input = (typeof inputs)[number];

type Row = Partial<Record<Input, EnclaveState>>;

/** From the first sign of odyn on, the app may do anything at any time. */
const alive = {
  stop: 'stopping',
  'app-ended': 'exited',
  fatal: 'failed',
  abort: 'failed',
  'machine-gone': 'lost',
} as const satisfies Row;

/** Signs of life can overtake the heartbeat, which goes another way; before odyn speaks there is no app to lose. */
const booting = {
  ...alive,
  'app-starting': 'starting',
  'app-ready': 'ready',
  'app-unhealthy': 'unhealthy',
  'machine-gone': 'failed',
} as const satisfies Row;

const table: Record<EnclaveState, Row> = {
  requested: { launch: 'launching', stop: 'stopping', abort: 'failed' },
  launching: { ...booting, booted: 'booting' },
  booting,
  starting: { ...alive, 'app-ready': 'ready', 'app-unhealthy': 'unhealthy' },
  ready: { ...alive, 'app-unhealthy': 'unhealthy' },
  unhealthy: { ...alive, 'app-ready': 'ready' },
  stopping: { 'app-ended': 'exited', fatal: 'failed', abort: 'failed', killed: 'exited', 'machine-gone': 'lost' },
  exited: {},
  failed: {},
  lost: {},
};

/** The state that follows; undefined when the input changes nothing. */
export function transition(state: EnclaveState, input: Input): EnclaveState | undefined {
  return table[state][input];
}
