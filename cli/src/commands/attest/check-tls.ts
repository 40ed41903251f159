import { createHash } from 'node:crypto';
import { AttestationError } from '@enclaver/attestation';
import { connectAttested } from '@enclaver/attestation/tls';
import { CliError } from '../../cli-error.ts';
import type { Verdict } from '../../output/attestation.ts';
import type { OutputFormat } from '../../output/format.ts';
import { registersOf } from './expected.ts';
import { readRoot } from './files.ts';
import type { ExpectationOptions } from './options.ts';
import { tell } from './tell.ts';

export interface Address {
  host: string;
  port: number;
}

export type TlsOptions = ExpectationOptions & { output: OutputFormat; servername?: string };

/** Prints the document behind a connection, the verdict on it, and the pin of its key. Errors: `USAGE`, `ATTEST_CONNECT`. */
export async function checkTls({ host, port }: Address, options: TlsOptions): Promise<void> {
  const { maxAge, allowDebug, servername } = options;
  const pcrs = await registersOf(options);
  if (pcrs.size === 0) {
    throw new CliError(
      'USAGE',
      'no register is expected, so any enclave of anybody would do',
      'give --pcr0, or --expect with the measurements of the image',
    );
  }
  const roots = options.root === undefined ? undefined : [await readRoot(options.root)];
  const expect = { pcrs, ...(maxAge !== undefined && { maxAgeMs: maxAge }), ...(allowDebug && { allowDebug }) };
  const verdict: Verdict = { at: new Date(), unchecked: [], failures: [] };
  try {
    const target = { host, port, ...(servername !== undefined && { servername }) };
    const { socket, document, publicKey } = await connectAttested(target, { ...(roots && { roots }), expect });
    socket.destroy();
    verdict.document = document;
    verdict.pin = `sha256//${createHash('sha256').update(publicKey).digest('base64')}`;
  } catch (error) {
    if (!(error instanceof AttestationError)) {
      throw new CliError(
        'ATTEST_CONNECT',
        `no TLS with ${host}:${port}: ${(error as Error).message}`,
        'check the address, and that the port ends TLS inside the enclave',
        { cause: error },
      );
    }
    verdict.failures = error.failures;
  }
  tell(verdict, options.output);
}
