import type { IngressPort } from '@enclaver/manifest';
import { limits } from '../limits.ts';

/** After so long without a byte a connection of the port is cut. */
export function idleMs({ idleTimeoutSeconds }: IngressPort): number {
  return idleTimeoutSeconds === undefined ? limits.ingressIdleMs : idleTimeoutSeconds * 1000;
}
