import type { Command } from 'commander';
import { nsmDir } from '../../stack/locations.ts';

export function addRoot(group: Command): void {
  group
    .command('root')
    .summary('print the certificate that simulated documents hang from')
    .description(
      'Prints the certificate (PEM) of the development root of this machine, for `attest verify --root` and the KMS emulator.\n' +
        'Enclaves without Nitro hardware attest with it. It proves nothing: trust it in tests and demos, nowhere else.\n' +
        'It is made at first use, in ENCLAVER_NSM_DIR, else in the folder nsm of the data folder.',
    )
    .action(async () => {
      // As for the command verify: certificates take long to load
      const { openDevelopmentRoot } = await import('@enclaver/attestation/simulator');
      process.stdout.write((await openDevelopmentRoot(nsmDir())).pem);
    });
}
