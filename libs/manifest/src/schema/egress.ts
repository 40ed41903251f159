import * as z from 'zod';
import { EGRESS_PATTERN_ALLOWED, EgressPatternError, parseEgressPattern } from '../egress-pattern.ts';
import { parsed, port } from './fields.ts';

export const DEFAULT_PROXY_PORT = 10000;

const pattern = parsed(parseEgressPattern, EgressPatternError, 'One destination.', EGRESS_PATTERN_ALLOWED);
const patterns = (description: string) =>
  z.array(pattern).meta({ description, allowed: 'a list of patterns', default: [] });

export const egress = z
  .strictObject({
    proxy_port: port('TCP port of the HTTP proxy inside the enclave.').meta({ default: DEFAULT_PROXY_PORT }).nullish(),
    allow: patterns('Destinations that may be reached. None without it.').nullish(),
    deny: patterns('Destinations that may not be reached although `allow` has them.').nullish(),
    transparent: z
      .boolean()
      .meta({
        description:
          'Takes the TCP connections of programs that know no proxy, too, and answers their look-ups of names.',
        allowed: 'true or false',
        default: false,
      })
      .nullish(),
  })
  .meta({ description: 'What the application may reach. Without it, nothing.', allowed: 'a map' });

export interface Egress {
  proxyPort: number;
  allow: string[];
  deny: string[];
  transparent?: true;
}

export function normaliseEgress(raw: z.output<typeof egress>): Egress {
  return {
    proxyPort: raw.proxy_port ?? DEFAULT_PROXY_PORT,
    allow: raw.allow ?? [],
    deny: raw.deny ?? [],
    ...(raw.transparent ? { transparent: true } : {}),
  };
}
