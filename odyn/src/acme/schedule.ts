import { limits } from '../limits.ts';
import { AcmeError } from './acme-error.ts';
import type { Issued } from './issued.ts';

/** Part of its life after which a certificate is renewed, and up to how much later: replicas do not come at the same time. */
const RENEW_AFTER = 2 / 3;
const JITTER = 1 / 20;

/** When to renew, in milliseconds since 1970. `random`: 0 to 1. */
export function renewAt(
  { notBefore, notAfter }: Pick<Issued, 'notBefore' | 'notAfter'>,
  random = Math.random(),
): number {
  const life = notAfter.getTime() - notBefore.getTime();
  return notBefore.getTime() + life * (RENEW_AFTER + JITTER * random);
}

/**
 * How long to wait after `count` failures in a row, in milliseconds. An authority that said no is asked four times in the first
 * hour and a half at most: Let's Encrypt takes five failed validations an hour. One that could not be reached has no such limit.
 */
export function pauseAfter(count: number, error: unknown, random = Math.random()): number {
  const asked = error instanceof AcmeError && error.code !== 'ACME_UNREACHABLE';
  const [first, factor, most] = asked
    ? [limits.acmeRefusedMs, 4, limits.acmeRefusedMostMs]
    : [limits.acmeUnreachableMs, 2, limits.acmeUnreachableMostMs];
  const pause = Math.min(first * factor ** Math.min(count - 1, 20), most) * (1 + random / 5);
  const wanted = error instanceof AcmeError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(pause, Math.min(wanted, limits.acmeRetryAfterMostMs));
}
