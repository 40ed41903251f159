import type { KeyObject } from 'node:crypto';
import { publicKey } from '@enclaver/provenance';
import { readBounded } from './bounded-file.ts';
import { CliError } from './cli-error.ts';

/** Far above what any PEM key has; the key itself is checked when it is read. */
const MAX_KEY_FILE_BYTES = 64 << 10;

/** The public key in a file. Errors: `PUBLIC_KEY_INVALID`. */
export async function readPublicKey(file: string): Promise<KeyObject> {
  let pem: Buffer;
  try {
    pem = await readBounded(file, MAX_KEY_FILE_BYTES);
  } catch (cause) {
    throw new CliError(
      'PUBLIC_KEY_INVALID',
      `cannot read the public key ${file}: ${(cause as Error).message}`,
      'give the cosign.pub of whoever signs',
      { cause },
    );
  }
  return publicKey(pem);
}
