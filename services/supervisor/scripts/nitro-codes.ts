import { markdownTable, withSection } from '../../../scripts/doc-section.ts';
import { type CodeMeaning, codes, reasons } from '../src/backends/nitro/codes.ts';

const script = 'services/supervisor/scripts/generate.ts';

/** docs/nitro.md with its tables of what nitro-cli and the driver say. */
export function withCodes(document: string): string {
  const row = ({ name, cause, remedy, passing }: CodeMeaning): string[] => [name, cause, remedy, passing ? 'yes' : ''];
  const head = ['Called', 'Cause', 'What to do', 'Tried again'];
  const byCode = markdownTable([
    ['Code', ...head],
    ...codes.map((code, number) => [`\`NITRO_E${String(number).padStart(2, '0')}\``, ...row(code)]),
  ]);
  const byWords = markdownTable([head, ...reasons.map(row)]);
  return withSection(withSection(document, { script, name: 'codes' }, byCode), { script, name: 'reasons' }, byWords);
}
