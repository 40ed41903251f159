import { type ConnectionLimits, connectionLimitsSchema } from '@enclaver/bus';
import { InvalidArgumentError } from 'commander';

const NAMES: Readonly<Record<string, keyof ConnectionLimits>> = {
  'ingress-connections': 'ingressConnections',
  'ingress-rate': 'ingressPerSecond',
  'ingress-bytes': 'ingressBytesPerSecond',
  'egress-connections': 'egressConnections',
  'egress-rate': 'egressPerSecond',
  'egress-bytes': 'egressBytesPerSecond',
};
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** Reads `--limit NAME=NUMBER[K|M|G]`: bounds that the parent sets for the connections of an enclave. */
export function parseLimit(text: string, earlier: ConnectionLimits = {}): ConnectionLimits {
  const match = /^([a-z-]+)=(\d{1,13})([KMG]?)$/.exec(text);
  const name = NAMES[match?.[1] ?? ''];
  const value = Number(match?.[2]) * (UNITS[match?.[3] ?? ''] ?? Number.NaN);
  if (name === undefined || !connectionLimitsSchema.safeParse({ [name]: value }).success) {
    throw new InvalidArgumentError(
      `Allowed is NAME=NUMBER, NAME one of ${Object.keys(NAMES).join(', ')}: connections open at a time, new ones in a second, ` +
        'bytes in a second (from 1024; K, M, G), such as egress-bytes=10M.',
    );
  }
  return { ...earlier, [name]: value };
}

/** The same, as `--limit` takes each of them. */
export function formatLimits(limits: ConnectionLimits): string[] {
  return Object.entries(NAMES).flatMap(([name, key]) => (limits[key] === undefined ? [] : [`${name}=${limits[key]}`]));
}
