import { createPrivateKey } from 'node:crypto';
import { Readable } from 'node:stream';
import { kmsSealer } from '@enclaver/signer';
import { MAX_DIRECT_KEY_BYTES, sealInEnvelope } from '@enclaver/wire/sealed-key';
import { readBounded } from '../../bounded-file.ts';
import { CliError } from '../../cli-error.ts';
import { writeWholeFile } from '../../output/whole-file.ts';

export interface SealOptions {
  kmsKey: string;
  context: Record<string, string>;
  to?: string;
}

/** What odyn takes of a file, as an envelope. */
const MAX_KEY_BYTES = 512 << 10;

/** Errors: `SEAL_KEY_INVALID`, `OUTPUT_INVALID`, and those of a key in KMS. */
export async function sealKey(path: string, { kmsKey, context, to }: SealOptions): Promise<void> {
  const key = await readKey(path);
  const sealer = await kmsSealer(kmsKey, context);
  let sealed: string;
  if (key.length <= MAX_DIRECT_KEY_BYTES) {
    sealed = `${(await sealer.encrypt(key)).toString('base64').replace(/.{76}/g, '$&\n')}\n`;
  } else {
    const { plaintext, ciphertext } = await sealer.generateDataKey();
    sealed = sealInEnvelope(key, plaintext, ciphertext);
    plaintext.fill(0);
  }
  key.fill(0);
  if (to === undefined) process.stdout.write(sealed);
  else await writeWholeFile(to, Readable.from([Buffer.from(sealed)]));
}

/** Errors: `SEAL_KEY_INVALID`. */
async function readKey(path: string): Promise<Buffer> {
  let key: Buffer;
  try {
    key = await readBounded(path, MAX_KEY_BYTES);
  } catch (cause) {
    throw invalid(path, (cause as Error).message);
  }
  if (key.length > MAX_KEY_BYTES) throw invalid(path, `it has more than ${MAX_KEY_BYTES} bytes`);
  try {
    createPrivateKey(key);
  } catch {
    // The parser's words may quote the file
    throw invalid(path, 'it holds no private key in PEM form without a passphrase');
  }
  return key;
}

function invalid(path: string, reason: string): CliError {
  return new CliError(
    'SEAL_KEY_INVALID',
    `the key ${path} cannot be sealed: ${reason}`,
    'give the key of the certificate',
  );
}
