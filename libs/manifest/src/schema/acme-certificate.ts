import * as z from 'zod';
import { domain, kmsKey, text } from './fields.ts';

const DEFAULT_DIRECTORY = 'https://acme-v02.api.letsencrypt.org/directory';

export const acmeCertificate = z
  .strictObject({
    domains: z
      .array(domain('One name.'))
      .min(1)
      .max(100)
      .meta({ description: 'Names of the certificate; each must lead to the port.', allowed: 'a list of 1 to 100' }),
    kms_key: kmsKey('KMS key that seals account and key outside the enclave.'),
    directory: z
      .string()
      .refine((value) => URL.parse(value)?.protocol === 'https:', { message: 'it is no URL of https' })
      .meta({
        description: 'Directory of the certificate authority.',
        allowed: 'https://HOST[:PORT]/PATH',
        default: DEFAULT_DIRECTORY,
      })
      .nullish(),
    terms_of_service_agreed: z.literal(true).meta({
      description: "Says that you agree to the authority's terms of service.",
      allowed: 'true',
    }),
    ca_file: text(
      'Certificate authorities of the directory itself, in PEM form, for one of your own. Without it, the public ones.',
      'a path in the image',
    ).nullish(),
    contact: z
      .array(z.email().meta({ description: 'One address.', allowed: 'a mail address' }))
      .meta({
        description: 'Mail addresses that the certificate authority may write to.',
        allowed: 'a list',
        default: [],
      })
      .nullish(),
  })
  .meta({
    description: 'A key made in the enclave, with a certificate of an authority that is asked by ACME.',
    allowed: 'a map',
  });

export interface AcmeCertificate {
  source: 'acme';
  domains: string[];
  /** ARN of a key or alias. */
  kmsKey: string;
  directory: string;
  contact: string[];
  caFile?: string;
}

export function normaliseAcmeCertificate(raw: z.output<typeof acmeCertificate>): AcmeCertificate {
  return {
    source: 'acme',
    domains: raw.domains,
    kmsKey: raw.kms_key,
    directory: raw.directory ?? DEFAULT_DIRECTORY,
    contact: raw.contact ?? [],
    ...(raw.ca_file ? { caFile: raw.ca_file } : {}),
  };
}
