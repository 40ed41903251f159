import { MAX_EXPECTATION_BYTES, type Pcrs, parseExpectation } from '@enclaver/trust';
import { readBounded } from './bounded-file.ts';
import { CliError } from './cli-error.ts';

/** The measurements that a file says an image must have. Errors: `EXPECTATION_UNREADABLE`, `EXPECTATION_INVALID`. */
export async function readExpectation(file: string): Promise<Pcrs> {
  let bytes: Buffer;
  try {
    bytes = await readBounded(file, MAX_EXPECTATION_BYTES);
  } catch (cause) {
    throw new CliError(
      'EXPECTATION_UNREADABLE',
      `cannot read the expected measurements ${file}: ${(cause as Error).message}`,
      'make the file from an image that you trust: enclaver trust -o json <image>',
      { cause },
    );
  }
  return parseExpectation(bytes);
}
