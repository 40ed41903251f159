import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { BusError } from './bus-error.ts';

const file = z.string().startsWith('/', 'must be an absolute path');

/** How one process reaches the bus; kept in a file that only its user can read, never in an argument or a log. */
export const credentialsSchema = z.strictObject({
  url: z.string().regex(/^(nats|tls):\/\//),
  /** Becomes part of subjects: `_INBOX_<user>.…` is where its answers come in. */
  user: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/)
    .optional(),
  password: z.string().optional(),
  /** Paths of PEM files, with `tls://`: the CA of the server in place of the public ones; our certificate and its key. */
  ca: file.optional(),
  cert: file.optional(),
  key: file.optional(),
});

export type BusCredentials = z.infer<typeof credentialsSchema>;

/** Reads a credentials file. Errors: `BUS_CREDENTIALS_INVALID`. */
export async function readCredentials(file: string): Promise<BusCredentials> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new BusError(
      {
        code: 'BUS_CREDENTIALS_INVALID',
        message: `cannot read bus credentials from ${file}: ${(cause as Error).message}`,
        remedy: 'point ENCLAVER_BUS at the JSON file that `enclaver up` or the compose set-up wrote',
      },
      { cause },
    );
  }
  const result = credentialsSchema.safeParse(json);
  if (!result.success) {
    throw new BusError({
      code: 'BUS_CREDENTIALS_INVALID',
      message: `${file} holds no bus credentials: ${z.prettifyError(result.error)}`,
      remedy: 'it must be {"url": "nats://host:port", "user": …, "password": …}',
    });
  }
  return result.data;
}
