import { endToEnd } from '@enclaver/http-forward';
import { withoutClaims } from './forwarded.ts';

/** What frames, routes, authenticates or decodes a request belongs in front of its body (RFC 9110, section 6.5.1). */
const NEVER_BEHIND = [
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'max-forwards',
];

/** Fields behind a request's body, from Node's `rawTrailers`, as they go on: an app may take them for those in front of it. */
export function trailersOf(rawTrailers: readonly string[]): string[] {
  return withoutClaims(endToEnd(rawTrailers, NEVER_BEHIND));
}
