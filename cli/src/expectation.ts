import { isSigned, MAX_STATEMENT_FILE_BYTES, signedMeasurements } from '@enclaver/provenance';
import { measurementsOf, type Pcrs, parseExpectation } from '@enclaver/trust';
import { readBounded } from './bounded-file.ts';
import { CliError } from './cli-error.ts';
import { readPublicKey } from './public-key-file.ts';

/**
 * The measurements that a file says an image must have; with a key, of a file that is signed by it. Errors:
 * `EXPECTATION_UNREADABLE`, `EXPECTATION_INVALID`, `EXPECTATION_SIGNED`, and those of `readPublicKey` and `signedMeasurements`.
 */
export async function readExpectation(file: string, keyFile?: string): Promise<Pcrs> {
  const key = keyFile === undefined ? undefined : await readPublicKey(keyFile);
  let bytes: Buffer;
  try {
    bytes = await readBounded(file, MAX_STATEMENT_FILE_BYTES);
  } catch (cause) {
    throw new CliError(
      'EXPECTATION_UNREADABLE',
      `cannot read the expected measurements ${file}: ${(cause as Error).message}`,
      'make the file from an image that you trust: enclaver trust -o json <image>',
      { cause },
    );
  }
  if (key !== undefined) return measurementsOf(signedMeasurements(bytes, key));
  if (isSigned(bytes)) {
    throw new CliError(
      'EXPECTATION_SIGNED',
      `${file} is signed, and no key was given to check the signature with`,
      'give the public key of whoever signed it: --key cosign.pub',
    );
  }
  return parseExpectation(bytes);
}
