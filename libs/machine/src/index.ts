export { accelerator } from './accelerator.ts';
export type { LocalNsmOptions } from './local-nsm.ts';
export { MachineError, type MachineErrorCode } from './machine-error.ts';
export type { Microvm, MicrovmEnd } from './microvm.ts';
export type { MicrovmRequest, RunningMicrovm } from './microvm-request.ts';
export { Microvms } from './microvms.ts';
