import { signEif, type WrittenEif } from '@enclaver/eif';
import { openSigner } from '@enclaver/signer';
import type { Command } from 'commander';
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
  const signed = await onEif(path, () => signEif(path, { ...signing, ...(to === undefined ? {} : { output: to }) }));
  if (output === 'json') writeJson({ Measurements: { HashAlgorithm: 'Sha384 { ... }', ...signed.measurements } });
  else process.stdout.write(signedText(to ?? path, signed));
}

function signedText(path: string, { measurements, size }: WrittenEif): string {
  return `Signed ${path}, ${size} bytes\n\n${formatTable(['register', 'value'], Object.entries(measurements))}`;
}
