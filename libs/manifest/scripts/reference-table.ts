import { z } from 'zod';
import { manifestSchema } from '../src/schema/manifest.ts';
import { keysOf, unwrap } from '../src/schema-walk.ts';

/** The table of all keys in docs/manifest.md, in Markdown, made from the schema. */
export function referenceTable(): string {
  const rows = [...rowsOf(manifestSchema, '')].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return ['| Key | Required | Holds | Default | Meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function* rowsOf(schema: z.ZodType, prefix: string): Generator<string[]> {
  for (const [key, { schema: inner, required }] of keysOf(schema) ?? []) {
    const path = `${prefix}${key}`;
    const { description = '', allowed = '', default: value } = inner.meta() ?? {};
    yield [
      `\`${path}\``,
      required ? 'yes' : '',
      allowed,
      value === undefined ? '' : `\`${JSON.stringify(value)}\``,
      description,
    ];
    if (inner instanceof z.ZodArray) {
      yield* rowsOf(unwrap(inner.element), `${path}[].`);
    } else {
      yield* rowsOf(inner, `${path}.`);
    }
  }
}

/** A pipe ends a cell, and a bare `*` or `<` means something in Markdown. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/(?<!`[^`]*)[*<]/g, (mark) => `\\${mark}`);
}

export const TABLE_START = '<!-- table: written by libs/manifest/scripts/generate.ts -->';
export const TABLE_END = '<!-- end of table -->';

/** The document with the table between its two marks replaced. */
export function withTable(document: string, table: string): string {
  const start = document.indexOf(TABLE_START);
  const end = document.indexOf(TABLE_END);
  if (start === -1 || end < start) throw new Error('docs/manifest.md has lost the marks around its table');
  return `${document.slice(0, start + TABLE_START.length)}\n\n${table}\n\n${document.slice(end)}`;
}
