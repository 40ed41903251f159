/** Writes what is made from the schema: `enclaver.schema.json` and the table in `docs/manifest.md`. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSection } from '../../../scripts/doc-section.ts';
import { manifestJsonSchema } from '../src/index.ts';
import { referenceTable, tableSection } from './reference-table.ts';

const schema = new URL('../enclaver.schema.json', import.meta.url);
const document = new URL('../../../docs/manifest.md', import.meta.url);

await writeFile(schema, `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`);
await writeFile(document, withSection(await readFile(document, 'utf8'), tableSection, referenceTable()));
