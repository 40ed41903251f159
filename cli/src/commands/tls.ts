import type { Command } from 'commander';
import { addSealKey } from './tls/seal-key.ts';

/** Commands on TLS that ends inside enclaves; none of them needs a running stack. */
export function addTls(program: Command): void {
  const group = program
    .command('tls')
    .summary('prepare keys for TLS that ends inside an enclave')
    .description('Prepares what ingress[].tls of the manifest names. No stack is needed. See docs/tls.md.');
  addSealKey(group);
}
