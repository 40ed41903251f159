export { sameAddress, specialRange } from './addresses.ts';
export { authorityOf, bracketed, type Destination, DestinationError, parseDestination } from './destination.ts';
export { type Decision, Policy } from './policy.ts';
