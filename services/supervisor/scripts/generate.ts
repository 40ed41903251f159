/** Writes what is made from tables of the sources: states in `docs/operate.md`, codes of nitro-cli in `docs/nitro.md`. */
import { readFile, writeFile } from 'node:fs/promises';
import { withCodes } from './nitro-codes.ts';
import { withSections } from './state-tables.ts';

for (const [name, made] of [
  ['operate', withSections],
  ['nitro', withCodes],
] as const) {
  const document = new URL(`../../../docs/${name}.md`, import.meta.url);
  await writeFile(document, made(await readFile(document, 'utf8')));
}
