/** Writes what is made from the table of transitions: the tables of states in `docs/operate.md`. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSections } from './state-tables.ts';

const document = new URL('../../../docs/operate.md', import.meta.url);

await writeFile(document, withSections(await readFile(document, 'utf8')));
