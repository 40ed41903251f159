import type { Command } from 'commander';
import { addDiff } from './eif/diff.ts';
import { addExtract } from './eif/extract.ts';
import { addInspect } from './eif/inspect.ts';
import { addLs } from './eif/ls.ts';
import { addSign } from './eif/sign.ts';

/** Commands on an enclave image file of this machine; none of them needs a running stack. */
export function addEif(program: Command): void {
  const group = program
    .command('eif')
    .summary('look into an enclave image file (EIF)')
    .description('Works on an enclave image file (EIF) of this machine. No stack is needed.');
  for (const add of [addInspect, addLs, addExtract, addDiff, addSign]) add(group);
}
