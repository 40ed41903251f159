import { z } from 'zod';
import { text } from './fields.ts';

export const tls = z
  .strictObject({
    key_file: text(
      'Private key in PEM form. Where the image has no such file: `/etc/enclaver/tls/server/<port>/key.pem`.',
      'a path in the image',
    ),
    cert_file: text(
      "Certificate chain in PEM form, the server's first. Where the image has no such file: `/etc/enclaver/tls/server/<port>/cert.pem`.",
      'a path in the image',
    ),
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
  keyFile: string;
  certFile: string;
  clientCaFile?: string;
  alpn: string[];
}

export function normaliseTls(raw: z.output<typeof tls>): Tls {
  return {
    keyFile: raw.key_file,
    certFile: raw.cert_file,
    ...(raw.client_ca_file ? { clientCaFile: raw.client_ca_file } : {}),
    alpn: raw.alpn ?? [],
  };
}
