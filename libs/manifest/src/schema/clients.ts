import * as z from 'zod';
import { parseCidr } from '../address.ts';
import { MAX_CLIENT_RULES } from '../limits.ts';
import { parsed } from './fields.ts';

const range = parsed(
  parseCidr,
  RangeError,
  'One range.',
  'an IPv4 or IPv6 address or range, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32',
);

export const clients = z
  .strictObject({
    allow: z
      .array(range)
      .min(1)
      .max(MAX_CLIENT_RULES)
      .meta({
        description: 'Addresses that may connect. Without it, all that `deny` does not have.',
        allowed: `a list of 1 to ${MAX_CLIENT_RULES} addresses or ranges`,
      })
      .nullish(),
    deny: z
      .array(range)
      .max(MAX_CLIENT_RULES)
      .meta({
        description: 'Addresses that may not connect although `allow` has them.',
        allowed: `a list of at most ${MAX_CLIENT_RULES} addresses or ranges`,
        default: [],
      })
      .nullish(),
  })
  .meta({ description: 'Who may connect, as far as the parent tells the truth: docs/ingress.md.', allowed: 'a map' });

export interface Clients {
  /** Left out: everybody. */
  allow?: string[];
  deny: string[];
}

export function normaliseClients(raw: z.output<typeof clients>): Clients {
  return { ...(raw.allow ? { allow: raw.allow } : {}), deny: raw.deny ?? [] };
}
