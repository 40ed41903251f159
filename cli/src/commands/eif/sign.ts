import { signEif, type WrittenEif } from '@enclaver/eif';
import { openSigner } from '@enclaver/signer';
import type { Command } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { Interruption } from '../../interruption.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../../output/format.ts';
import { formatTable } from '../../output/table.ts';
import { checkExists, onEif } from './on-eif.ts';

interface SignOptions {
  certificate: string;
  key: string;
  to?: string;
  output: OutputFormat;
}

export function addSign(group: Command): void {
  const command = group
    .command('sign')
    .summary('sign an EIF')
    .description(
      'Signs an EIF, or puts a new signature in the place of the old one. No other byte of its sections changes: PCR0, PCR1\n' +
        'and PCR2 stay as they are, PCR8 is that of the certificate. See docs/signing.md.',
    )
    .argument('<eif>', 'path of the EIF')
    .requiredOption('--certificate <pem>', 'certificate in PEM form; it becomes part of the image')
    .requiredOption(
      '--key <pem|arn>',
      'private key in PEM form on P-256, P-384 or P-521, or ARN of such a key in AWS KMS',
    )
    .option('--to <path>', 'write the signed image there; default: in the place of <eif>');
  addOutputOption(command, 'text', 'json').action(sign);
}

async function sign(path: string, { certificate, key, to, output }: SignOptions): Promise<void> {
  await checkExists(path);
  const signing = await openSigner({ certificate, key });
  const options = { ...signing, ...(to === undefined ? {} : { output: to }) };
  const signed = await interruptible((signal) => onEif(path, () => signEif(path, { ...options, signal })));
  if (signed === undefined) process.exitCode = exitCodes.interrupted;
  else if (output === 'json') writeJson({ Measurements: { HashAlgorithm: 'Sha384 { ... }', ...signed.measurements } });
  else process.stdout.write(signedText(to ?? path, signed));
}

/** Gives undefined when SIGINT or SIGTERM ended the task, which has then taken its unfinished file away. */
async function interruptible<Result>(task: (signal: AbortSignal) => Promise<Result>): Promise<Result | undefined> {
  const interruption = new Interruption();
  const abort = new AbortController();
  interruption.onFirst(() => abort.abort());
  try {
    return await task(abort.signal);
  } catch (error) {
    if (error === abort.signal.reason) return undefined;
    throw error;
  } finally {
    interruption.close();
  }
}

function signedText(path: string, { measurements, size }: WrittenEif): string {
  return `Signed ${path}, ${size} bytes\n\n${formatTable(['register', 'value'], Object.entries(measurements))}`;
}
