import * as z from 'zod';
import { port } from './fields.ts';

export const api = z
  .strictObject({ listen_port: port('TCP port of the attestation API inside the enclave.') })
  .meta({ description: 'Gives attestation documents to the application.', allowed: 'a map' });

export interface Api {
  listenPort: number;
}

export function normaliseApi(raw: z.output<typeof api>): Api {
  return { listenPort: raw.listen_port };
}
