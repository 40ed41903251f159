import type { Command } from 'commander';
import { addRoot } from './attest/root.ts';
import { addTls } from './attest/tls.ts';
import { addVerify } from './attest/verify.ts';

/** Commands on attestation documents; none of them needs a running stack. */
export function addAttest(program: Command): void {
  const group = program
    .command('attest')
    .summary('check what an enclave says of itself')
    .description('Works on attestation documents of the Nitro Secure Module. No stack is needed.');
  addVerify(group);
  addTls(group);
  addRoot(group);
}
