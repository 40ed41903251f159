import { entriesOf, type Pcrs, registers } from '@enclaver/trust';
import { formatTable } from './table.ts';

/** The shape of `nitro-cli describe-eif`, which `enclaver run --verify-before-run` reads. */
export function trustJson(pcrs: Pcrs): Record<string, unknown> {
  return { Measurements: { HashAlgorithm: 'Sha384 { ... }', ...Object.fromEntries(entriesOf(pcrs)) } };
}

/** The values, and what each of them means. */
export function trustTables(pcrs: Pcrs): string {
  const entries = entriesOf(pcrs);
  const values = formatTable(['register', 'value'], entries);
  const meanings = formatTable(
    ['register', 'measures', 'changes with', 'zero when'],
    entries.map(([register]) => {
      const { measures, changesWith, zeroWhen } = registers[register];
      return [register, measures, changesWith, zeroWhen];
    }),
  );
  return `${values}\n${meanings}`;
}
