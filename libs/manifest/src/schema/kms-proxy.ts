import { z } from 'zod';
import { HOST, matching, PORT, port } from './fields.ts';

export const kmsProxy = z
  .strictObject({
    listen_port: port('TCP port of the KMS proxy inside the enclave.'),
    endpoints: z
      .record(
        matching(/^[a-z]+(?:-[a-z0-9]+)+$/, 'Name of a region.', 'the name of a region, such as us-east-1'),
        matching(
          new RegExp(`^${HOST}(?::${PORT})?$`),
          'Its KMS endpoint.',
          'HOST or HOST:PORT, without a scheme or path',
        ),
      )
      .meta({
        description: 'KMS endpoint by region. For a region not listed: `kms.<region>.amazonaws.com`.',
        allowed: 'a map from region to HOST[:PORT]',
        default: {},
      })
      .nullish(),
  })
  .meta({ description: 'Attests calls to AWS KMS. Needs `egress.allow`.', allowed: 'a map' });

export interface KmsProxy {
  listenPort: number;
  endpoints: Record<string, string>;
}

export function normaliseKmsProxy(raw: z.output<typeof kmsProxy>): KmsProxy {
  return { listenPort: raw.listen_port, endpoints: raw.endpoints ?? {} };
}
