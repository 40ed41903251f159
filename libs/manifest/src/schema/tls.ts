import * as z from 'zod';
import { text } from './fields.ts';
import { certificate, files, normaliseCertificate, type TlsCertificate } from './tls-certificate.ts';

export const tls = z
  .strictObject({
    key_file: text(
      'Private key in PEM form. Where the image has no such file: `/etc/enclaver/tls/server/<port>/key.pem`. With `cert_file`, in place of `certificates`.',
      'a path in the image',
    ).nullish(),
    cert_file: text(
      "Certificate chain in PEM form, the server's first. Where the image has no such file: `/etc/enclaver/tls/server/<port>/cert.pem`.",
      'a path in the image',
    ).nullish(),
    certificates: z
      .array(certificate)
      .min(1)
      .max(100)
      .meta({
        description:
          'Certificates with their keys: a client gets the first one that has the name it asks for, or else the first of all.',
        allowed: 'a list of 1 to 100',
      })
      .nullish(),
    client_ca_file: text(
      'Certificate authorities of the clients, in PEM form: who has no certificate of theirs is refused. Without it, nobody is asked for one.',
      'a path in the image',
    ).nullish(),
    alpn: z
      .array(
        z
          .string()
          .min(1)
          .max(255)
          .regex(/^[\x21-\x7e]*$/)
          .meta({ description: 'One protocol.', allowed: 'a protocol id of ALPN, such as h2' }),
      )
      .meta({
        description:
          'Protocols that the application speaks, the preferred one first; clients that offer others only are refused.',
        allowed: 'a list',
        default: [],
      })
      .nullish(),
  })
  .meta({ description: 'Ends TLS inside the enclave; without it the port carries plain TCP.', allowed: 'a map' });

export interface Tls {
  /** At least one; the first is for clients that ask for no name, or for one that no certificate has. */
  certificates: TlsCertificate[];
  clientCaFile?: string;
  alpn: string[];
}

export function normaliseTls(raw: z.output<typeof tls>, port: number): Tls {
  // The original takes no notice of the names, and reads these
  const folder = `/etc/enclaver/tls/server/${port}`;
  const certificates = raw.certificates?.map(normaliseCertificate) ?? [
    files([raw.key_file ?? '', `${folder}/key.pem`], [raw.cert_file ?? '', `${folder}/cert.pem`]),
  ];
  return {
    certificates,
    ...(raw.client_ca_file ? { clientCaFile: raw.client_ca_file } : {}),
    alpn: raw.alpn ?? [],
  };
}
