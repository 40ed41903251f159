import * as z from 'zod';
import { text } from './fields.ts';

export const signature = z
  .strictObject({
    certificate: text('Certificate in PEM form.', 'a path, relative to the folder of the manifest'),
    key: text(
      'Private key in PEM form on P-256, P-384 or P-521, or such a key in AWS KMS.',
      'a path, relative to the folder of the manifest, or arn:PARTITION:kms:REGION:ACCOUNT:key/ID',
    ),
  })
  .meta({ description: 'Signs the image; its certificate is measured as PCR8.', allowed: 'a map' });

export type Signature = z.output<typeof signature>;
