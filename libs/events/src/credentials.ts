import { readFile } from 'node:fs/promises';
import { EventsError } from './events-error.ts';

/** How the bus is reached. `ca`, `cert` and `key` are paths of PEM files, for `tls://`. */
export interface Credentials {
  url: string;
  user?: string;
  password?: string;
  ca?: string;
  cert?: string;
  key?: string;
}

/** Reads a credentials file as `enclaver up` and `enclaver bus init` write it. Errors: `BUS_CREDENTIALS_INVALID`. */
export async function readCredentials(file: string): Promise<Credentials> {
  try {
    return checked(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw new EventsError(
      'BUS_CREDENTIALS_INVALID',
      `no credentials of a bus in ${file}: ${(cause as Error).message}`,
      'name the file bus/reader.json in the folder of the stack',
      { cause },
    );
  }
}

function checked(json: unknown): Credentials {
  if (typeof json !== 'object' || json === null) throw new TypeError('it holds no object');
  const { url, ...others } = json as Record<string, unknown>;
  if (typeof url !== 'string' || !/^(nats|tls):\/\//.test(url)) throw new TypeError('`url` is not nats://… or tls://…');
  for (const [name, value] of Object.entries(others)) {
    if (typeof value !== 'string') throw new TypeError(`\`${name}\` is no text`);
  }
  return json as Credentials;
}
