import { type Command, InvalidArgumentError, Option } from 'commander';

/** What may be expected of every document; `pcr0` to `pcr31` beside the options that have a name. */
export type ExpectationOptions = {
  expect?: string;
  key?: string;
  maxAge?: number;
  root?: string;
  allowDebug?: true;
} & { [register: `pcr${number}`]: Uint8Array | undefined };

/** Registers of a Nitro Secure Module. */
const REGISTERS = 32;
/** Those that an operator compares; the others are the app's own or are not used. */
const SHOWN = [0, 1, 2, 3, 4, 8];

export function addExpectationOptions(command: Command): Command {
  for (let index = 0; index < REGISTERS; index += 1) {
    const option = new Option(`--pcr${index} <hex>`, `expected value of PCR${index}`).argParser(register);
    command.addOption(SHOWN.includes(index) ? option : option.hideHelp());
  }
  return command
    .option('--expect <file>', 'expected measurements, as for run --verify-before-run')
    .option('--key <file>', 'public key that signed the file of --expect')
    .option('--max-age <time>', 'refuse an older document: 90s, 5m, 3h', duration)
    .option('--root <file>', 'trust this root certificate (PEM) and no other')
    .option('--allow-debug', 'take the document of an enclave in debug mode');
}

export function hex(text: string): Uint8Array {
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
