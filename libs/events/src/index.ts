export type { Credentials } from './credentials.ts';
export { type EnclaveEvent, type EventName, EventStream, type EventsOptions, events } from './event-stream.ts';
export type * from './event-types.ts';
export { EventsError } from './events-error.ts';
