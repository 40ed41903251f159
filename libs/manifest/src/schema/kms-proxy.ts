import * as z from 'zod';
import { HOST, matching, PORT, port, text } from './fields.ts';

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
        description:
          'KMS endpoint by region. For a region not listed: that of AWS for its partition, such as `kms.<region>.amazonaws.com`.',
        allowed: 'a map from region to HOST[:PORT]',
        default: {},
      })
      .nullish(),
    ca_file: text(
      'Certificate authorities in PEM form that KMS endpoints are trusted by, in place of the public ones: for private endpoints and emulators.',
      'a path in the image',
    ).nullish(),
  })
  .meta({
    description: 'Attests calls to AWS KMS. Reaches KMS and credentials by itself, without `egress`.',
    allowed: 'a map',
  });

export interface KmsProxy {
  listenPort: number;
  endpoints: Record<string, string>;
  caFile?: string;
}

export function normaliseKmsProxy(raw: z.output<typeof kmsProxy>): KmsProxy {
  return {
    listenPort: raw.listen_port,
    endpoints: raw.endpoints ?? {},
    ...(raw.ca_file ? { caFile: raw.ca_file } : {}),
  };
}
