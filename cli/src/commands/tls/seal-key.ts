import { type Command, InvalidArgumentError } from 'commander';
import type { SealOptions } from './seal.ts';

export function addSealKey(group: Command): void {
  group
    .command('seal-key')
    .summary('encrypt a private key so that only an attested enclave gets it')
    .description(
      'Encrypts a private key (PEM) with a symmetric key of AWS KMS, for `key` of a certificate by kms in the manifest. Who may\n' +
        'open it is said by the policy of that key: `enclaver trust` writes it. Credentials and endpoint come from the environment.',
    )
    .argument('<key>', 'private key in PEM form, without a passphrase')
    .requiredOption('--kms-key <arn>', 'ARN of the key or alias, as kms_key of the manifest')
    .option('--context <name=value>', 'one pair of the encryption context; may be given several times', pair, {})
    .option('--to <path>', 'write there; default: stdout')
    .action(async (key: string, options: SealOptions) => {
      // The client of AWS takes long to load
      const { sealKey } = await import('./seal.ts');
      await sealKey(key, options);
    });
}

function pair(text: string, earlier: Record<string, string>): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError('Allowed is NAME=VALUE.');
  return { ...earlier, [name]: value };
}
