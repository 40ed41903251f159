export { NsmError, type NsmErrorCode } from './errors.ts';
export { Nsm, type NsmDescription, type NsmOptions, type NsmTransport, type PcrState } from './nsm.ts';
export type { AttestationFields } from './request.ts';
export { streamTransport } from './stream-transport.ts';
