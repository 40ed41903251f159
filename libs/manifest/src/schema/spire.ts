import * as z from 'zod';
import { HOST, matching, PORT, text } from './fields.ts';

const DEFAULT_WORKLOAD_API_ADDR = '127.0.0.1:5000';

export const spire = z
  .strictObject({
    server_addr: matching(
      new RegExp(`^https://(?:${HOST}|\\[[0-9A-Fa-f:.]+\\])(?::${PORT})?/?$`),
      'Address of the SPIRE server.',
      'https://HOST[:PORT]',
    ),
    ca_cert: text('Certificate authority of the SPIRE server, in PEM form.', 'a path'),
    trust_domain: matching(/^[a-z0-9._-]{1,255}$/, 'SPIFFE trust domain.', 'lower-case letters, digits, ".", "-", "_"'),
    svid_dir: text('Folder that the certificate is written to.', 'a path'),
    workload_api_addr: matching(
      new RegExp(`^(?:(?:\\d{1,3}\\.){3}\\d{1,3}|\\[[0-9A-Fa-f:.]+\\]):${PORT}$`),
      'Where the Workload API listens.',
      'ADDRESS:PORT',
    )
      .meta({ default: DEFAULT_WORKLOAD_API_ADDR })
      .nullish(),
  })
  .meta({ description: 'SPIFFE identity for the application. Refused at build in this release.', allowed: 'a map' });

export interface Spire {
  serverAddr: string;
  caCert: string;
  trustDomain: string;
  svidDir: string;
  workloadApiAddr: string;
}

export function normaliseSpire(raw: z.output<typeof spire>): Spire {
  return {
    serverAddr: raw.server_addr,
    caCert: raw.ca_cert,
    trustDomain: raw.trust_domain,
    svidDir: raw.svid_dir,
    workloadApiAddr: raw.workload_api_addr ?? DEFAULT_WORKLOAD_API_ADDR,
  };
}
