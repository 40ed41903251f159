import { z } from 'zod';
import { port } from './fields.ts';
import { normaliseTls, type Tls, tls } from './tls.ts';

const entry = z
  .strictObject({
    listen_port: port(
      'TCP port on the parent instance, vsock port of the enclave, and TCP port the application listens on.',
    ),
    tls: tls.nullish(),
  })
  .meta({ description: 'One port.', allowed: 'a map' });

export const ingress = z
  .array(entry)
  .meta({ description: 'Ports that reach the application.', allowed: 'a list', default: [] });

export interface IngressPort {
  listenPort: number;
  tls?: Tls;
}

export function normaliseIngress(raw: z.output<typeof entry>): IngressPort {
  return { listenPort: raw.listen_port, ...(raw.tls ? { tls: normaliseTls(raw.tls, raw.listen_port) } : {}) };
}
