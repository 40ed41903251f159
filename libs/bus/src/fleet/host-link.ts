import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { BusError } from '../bus-error.ts';
import { limits } from '../limits.ts';

export const hostName = z.string().regex(/^[A-Za-z0-9_-]{1,63}$/);

/** What a host needs to be part of a fleet: a file that the hub's administrator hands to the host's. */
const hostLinkSchema = z.strictObject({
  host: hostName,
  url: z.string().regex(/^(nats|tls):\/\//),
  password: z.string(),
  /** With `tls://`: certificates that the hub's must descend from, in PEM; default: those that the machine trusts. */
  caPem: z.string().max(limits.caBytes).optional(),
});

export type HostLink = z.infer<typeof hostLinkSchema>;

/** Errors: `FLEET_FILE_INVALID`. */
export const readHostLink = (file: string): Promise<HostLink> => readFleetFile(file, hostLinkSchema);

/** Reads a file that `enclaver fleet init` wrote. Errors: `FLEET_FILE_INVALID`. */
export async function readFleetFile<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const invalid = (why: string, cause?: unknown): BusError =>
    new BusError(
      {
        code: 'FLEET_FILE_INVALID',
        message: `${file} is no such file of a fleet: ${why}`,
        remedy:
          '`enclaver fleet init` on the hub writes fleet.json for those who look, and hosts/<host>.json for each host',
      },
      { cause },
    );
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw invalid((cause as Error).message, cause);
  }
  const result = schema.safeParse(json);
  if (!result.success) throw invalid(z.prettifyError(result.error));
  return result.data;
}
