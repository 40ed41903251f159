import { type Command, InvalidArgumentError } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { addOutputOption } from '../../output/format.ts';
import { addExpectationOptions, hex } from './options.ts';
import type { VerifyOptions } from './verify-file.ts';

export function addVerify(group: Command): void {
  const command = group
    .command('verify')
    .summary('verify an attestation document')
    .description(
      'Verifies an attestation document: form, chain to the root of AWS, signature, and what you expect of it.\n' +
        'The file holds CBOR or base64. Every --pcrN from 0 to 31 is taken.\n' +
        `Exit code: 0 genuine and as expected; ${exitCodes.failure} not, with a code for every check that failed.`,
    )
    .argument('<document>', 'file of the document, or - for stdin');
  addExpectationOptions(command)
    .option('--nonce <hex>', 'expected nonce', hex)
    .option('--user-data <hex>', 'expected user data', hex)
    .option('--public-key <file>', 'expected public key: PEM, or the bytes themselves')
    .option('--at <time>', 'verify at this instant, such as 2026-01-15T12:00:00Z (default: now)', instant);
  addOutputOption(command, 'text', 'json').action(async (file: string, options: VerifyOptions) => {
    // Certificates take 50 ms to load, which every other command would wait for
    const { verifyFile } = await import('./verify-file.ts');
    await verifyFile(file, options);
  });
}

function instant(text: string): Date {
  // With a zone, or the instant would depend on the machine
  const [, day = ''] = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  const date = new Date(text);
  // Date takes February 31 for March 3
  if (Number.isNaN(date.getTime()) || new Date(day).toJSON()?.startsWith(day) !== true || day === '') {
    throw new InvalidArgumentError('Allowed is a date with time and zone, such as 2026-01-15T12:00:00Z.');
  }
  return date;
}
