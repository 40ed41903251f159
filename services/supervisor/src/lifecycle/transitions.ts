import type { EnclaveState } from '@enclaver/bus';

/** What can happen to an enclave, whoever noticed it. The texts stand in docs/operate.md. */
export const inputMeanings = {
  launch: 'the outer-proxy has opened the listeners: the machine is started',
  booted: 'the kernel inside has reported',
  'app-starting': 'odyn says that it starts the app',
  'app-ready': 'odyn says that the app is ready',
  'app-unhealthy': 'odyn says that the app fails its health check',
  stop: 'somebody asked for an end',
  'app-ended': 'the app ended, by itself or because it was asked to',
  fatal: 'the inside gave up',
  abort: 'it shall not run: no listeners, no boot, no `ready` in time, or stopped before there was an app',
  killed: 'its machine was taken from an app that did not end in the grace time',
  'machine-gone': 'its machine ended, and not by our hand',
  unseen: 'nobody knows what became of it: it does not answer, or ended while no supervisor ran',
} as const;

export type Input = keyof typeof inputMeanings;

export const inputs = Object.keys(inputMeanings) as Input[];

/** What a state means to who looks at it. The texts stand in docs/operate.md. */
export const stateMeanings: Record<EnclaveState, string> = {
  requested: 'accepted; the outer-proxy opens its listeners',
  launching: 'its machine is being started',
  booting: 'kernel and init are up, odyn is not yet',
  starting: 'odyn is up; the app is started and does not listen on every port yet',
  ready: 'the app listens on every ingress port, and has passed its health check where there is one',
  unhealthy: 'the app fails its health check; it goes on, and may become `ready` again',
  stopping: 'a stop was asked for; the app has its grace time',
  exited: 'the app ended; the result has its exit code or signal',
  failed: 'the app never ran, or the inside gave up; the result says why',
  lost: 'the machine ended under the app, or it cannot be reached any more',
};

type Row = Partial<Record<Input, EnclaveState>>;

/** From the first sign of odyn on, the app may do anything at any time. */
const alive = {
  stop: 'stopping',
  'app-ended': 'exited',
  fatal: 'failed',
  abort: 'failed',
  'machine-gone': 'lost',
  unseen: 'lost',
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
  requested: { launch: 'launching', stop: 'stopping', abort: 'failed', unseen: 'lost' },
  launching: { ...booting, booted: 'booting' },
  booting,
  starting: { ...alive, 'app-ready': 'ready', 'app-unhealthy': 'unhealthy' },
  ready: { ...alive, 'app-unhealthy': 'unhealthy' },
  unhealthy: { ...alive, 'app-ready': 'ready' },
  stopping: {
    'app-ended': 'exited',
    fatal: 'failed',
    abort: 'failed',
    killed: 'exited',
    'machine-gone': 'lost',
    unseen: 'lost',
  },
  exited: {},
  failed: {},
  lost: {},
};

/** The state that follows; undefined when the input changes nothing. */
export function transition(state: EnclaveState, input: Input): EnclaveState | undefined {
  return table[state][input];
}
