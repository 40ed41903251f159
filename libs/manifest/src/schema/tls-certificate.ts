import * as z from 'zod';
import { type AcmeCertificate, acmeCertificate, normaliseAcmeCertificate } from './acme-certificate.ts';
import { domain, kmsKey, text } from './fields.ts';

const place = 'a path in the image, or https://HOST[:PORT]/PATH';
const httpsOrPath = (description: string) =>
  z
    .string()
    .min(1)
    .refine((value) => !value.includes('\0') && (!/^[a-z]+:\/\//i.test(value) || isHttps(value)), {
      message: 'it is neither a path nor a URL of https without user, query and fragment',
    })
    .meta({ description, allowed: place });

function isHttps(value: string): boolean {
  const url = URL.parse(value);
  return url?.protocol === 'https:' && url.username === '' && url.search === '' && url.hash === '';
}

const filesCertificate = z
  .strictObject({
    key_file: text('Private key in PEM form.', 'a path in the image'),
    cert_file: text("Certificate chain in PEM form, the server's first.", 'a path in the image'),
  })
  .meta({
    description: 'Key and certificate as files of the image. Whoever has the image has the key.',
    allowed: 'a map',
  });

const kmsCertificate = z
  .strictObject({
    key: httpsOrPath(
      'Private key in PEM form, encrypted with the KMS key: what `enclaver tls seal-key` or `aws kms encrypt` gives.',
    ),
    cert: httpsOrPath("Certificate chain in PEM form, the server's first."),
    kms_key: kmsKey('KMS key that the private key is encrypted with.'),
    encryption_context: z
      .record(z.string().min(1), z.string())
      .meta({ description: 'Encryption context that it was encrypted with.', allowed: 'a map of texts', default: {} })
      .nullish(),
    ca_file: text(
      'Certificate authorities of the servers that key and certificate are fetched from, in PEM form. Without it, the public ones.',
      'a path in the image',
    ).nullish(),
  })
  .meta({ description: 'A key that KMS releases to the attested enclave only.', allowed: 'a map' });

const attestedCertificate = z
  .strictObject({
    names: z
      .array(domain('One name.'))
      .min(1)
      .max(100)
      .meta({ description: 'Names of the certificate.', allowed: 'a list of 1 to 100' }),
  })
  .meta({
    description: 'A key made in the enclave, with a certificate that holds an attestation document about it.',
    allowed: 'a map',
  });

/** One of the list; `findConflicts` sees to it that it has exactly one source. */
export const certificate = z
  .strictObject({
    files: filesCertificate.nullish(),
    kms: kmsCertificate.nullish(),
    attested: attestedCertificate.nullish(),
    acme: acmeCertificate.nullish(),
  })
  .meta({ description: 'One certificate, from one source.', allowed: 'a map with one of files, kms, attested, acme' });

export const CERTIFICATE_SOURCES = Object.keys(certificate.shape);

export interface FilesCertificate {
  source: 'files';
  /** Paths in the image; the first that exists is taken. */
  keyFiles: string[];
  certFiles: string[];
}

export interface KmsCertificate {
  source: 'kms';
  /** A path in the image, or a URL of https. */
  key: string;
  cert: string;
  /** ARN of a key or alias. */
  kmsKey: string;
  encryptionContext: Record<string, string>;
  caFile?: string;
}

export interface AttestedCertificate {
  source: 'attested';
  names: string[];
}

export type TlsCertificate = FilesCertificate | KmsCertificate | AttestedCertificate | AcmeCertificate;

export function files(keyFiles: string[], certFiles: string[]): FilesCertificate {
  return { source: 'files', keyFiles, certFiles };
}

export function normaliseCertificate(raw: z.output<typeof certificate>): TlsCertificate {
  if (raw.files) return files([raw.files.key_file], [raw.files.cert_file]);
  if (raw.kms) {
    const { key, cert, kms_key, encryption_context, ca_file } = raw.kms;
    return {
      source: 'kms',
      key,
      cert,
      kmsKey: kms_key,
      encryptionContext: encryption_context ?? {},
      ...(ca_file ? { caFile: ca_file } : {}),
    };
  }
  if (raw.attested) return { source: 'attested', names: raw.attested.names };
  if (raw.acme) return normaliseAcmeCertificate(raw.acme);
  throw new Error('a certificate without a source has passed the rules of the manifest');
}
