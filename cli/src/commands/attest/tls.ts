import { type Command, InvalidArgumentError } from 'commander';
import { exitCodes } from '../../exit-codes.ts';
import { addOutputOption } from '../../output/format.ts';
import type { Address, TlsOptions } from './check-tls.ts';
import { addExpectationOptions } from './options.ts';

export function addTls(group: Command): void {
  const command = group
    .command('tls')
    .summary('verify who answers behind attested TLS')
    .description(
      'Makes one TLS connection, and verifies the attestation document in the certificate that is shown: form, chain to the\n' +
        'root of AWS, signature, that it attests the key of this certificate, and what you expect of it. Registers are needed.\n' +
        `Exit code: 0 genuine and as expected; ${exitCodes.failure} not, with a code for every check that failed.`,
    )
    .argument('<host:port>', 'where the enclave is reached', address);
  addExpectationOptions(command).option('--servername <name>', 'name to ask for (SNI), where HOST is another');
  addOutputOption(command, 'text', 'json').action(async (target: Address, options: TlsOptions) => {
    // As for the command verify: certificates take long to load
    const { checkTls } = await import('./check-tls.ts');
    await checkTls(target, options);
  });
}

function address(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65535) {
    throw new InvalidArgumentError('Allowed is HOST:PORT, with an IPv6 address in brackets.');
  }
  return { host, port };
}
