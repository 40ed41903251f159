import { type Command, InvalidArgumentError, Option } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { addOutputOption } from '../../output/format.ts';
import type { VerifyOptions } from './verify-file.ts';

/** Registers of a Nitro Secure Module. */
const REGISTERS = 32;
/** Those that an operator compares; the others are the app's own or are not used. */
const SHOWN = [0, 1, 2, 3, 4, 8];

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
  for (let index = 0; index < REGISTERS; index += 1) {
    const option = new Option(`--pcr${index} <hex>`, `expected value of PCR${index}`).argParser(register);
    command.addOption(SHOWN.includes(index) ? option : option.hideHelp());
  }
  command
    .option('--expect <file>', 'expected measurements, as for run --verify-before-run')
    .option('--key <file>', 'public key that signed the file of --expect')
    .option('--nonce <hex>', 'expected nonce', hex)
    .option('--user-data <hex>', 'expected user data', hex)
    .option('--public-key <file>', 'expected public key: PEM, or the bytes themselves')
    .option('--max-age <time>', 'refuse an older document: 90s, 5m, 3h', duration)
    .option('--root <file>', 'trust this root certificate (PEM) and no other')
    .option('--at <time>', 'verify at this instant, such as 2026-01-15T12:00:00Z (default: now)', instant)
    .option('--allow-debug', 'take the document of an enclave in debug mode');
  addOutputOption(command, 'text', 'json').action(async (file: string, options: VerifyOptions) => {
    // Certificates take 50 ms to load, which every other command would wait for
    const { verifyFile } = await import('./verify-file.ts');
    await verifyFile(file, options);
  });
}

function hex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new InvalidArgumentError('Allowed are pairs of hexadecimal digits.');
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function register(text: string): Uint8Array {
  if (!/^[0-9a-f]{96}$/i.test(text)) throw new InvalidArgumentError('Allowed are 96 hexadecimal digits.');
  return hex(text);
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 };

function duration(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  if (number === '') throw new InvalidArgumentError('Allowed is a whole number with s, m or h, such as 5m.');
  return Number(number) * (UNITS[unit] ?? Number.NaN);
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
