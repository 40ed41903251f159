import { z } from 'zod';
import { markdownTable } from '../../../scripts/doc-section.ts';
import { manifestSchema } from '../src/schema/manifest.ts';
import { keysOf, unwrap } from '../src/schema-walk.ts';

/** The table of all keys in docs/manifest.md, in Markdown, made from the schema. */
export function referenceTable(): string {
  const rows = [...rowsOf(manifestSchema, '')].map((cells) => cells.map(cell));
  return markdownTable([['Key', 'Required', 'Holds', 'Default', 'Meaning'], ...rows]);
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

/** Where the table stands in docs/manifest.md. */
export const tableSection = { script: 'libs/manifest/scripts/generate.ts', name: 'table' } as const;
