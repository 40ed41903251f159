import { readEif } from '@enclaver/eif';
import type { Command } from 'commander';
import { addOutputOption, writeJson } from '../../output/format.ts';

export function addInspect(group: Command): void {
  const command = group
    .command('inspect')
    .summary('show what an EIF is and measures')
    .description('Shows header, sections, measurements, metadata and signature of an EIF.')
    .argument('<eif>', 'path of the file');
  addOutputOption(command, 'text', 'json').action(inspect);
}

async function inspect(path: string): Promise<void> {
  const { measurements } = await readEif(path);
  writeJson({ Measurements: { HashAlgorithm: 'Sha384 { ... }', ...measurements } });
}
