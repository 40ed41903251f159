import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Rows of each table under a header that starts with this cell, each as its cells; `\|` is a bar within one. */
export function tables(markdown: string, firstCell: string): string[][] {
  const rows: string[][] = [];
  let wanted = false;
  for (const line of markdown.split('\n')) {
    if (!line.startsWith('|')) {
      wanted = false;
      continue;
    }
    const cells = line.split(/(?<!\\)\|/).slice(1, -1);
    const texts = cells.map((cell) => cell.trim());
    if (texts[0] === firstCell) wanted = true;
    else if (wanted && !/^-+$/.test(texts[0] ?? '')) rows.push(texts);
  }
  return rows;
}

/** Texts in backticks. */
export const codeSpans = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);

/**
 * A cell names tests as a file and titles of it, and further files after that; or says `no test: ` and why. Gives what is not
 * there: a file, a title, or a file without one. A benchmark is a file of `bench`, which has no titles.
 */
export function missingTests(cell: string): string[] {
  if (/^no test: \S/.test(cell)) return [];
  const missing: string[] = [];
  let file: string | undefined;
  let titles = 0;
  const spans = codeSpans(cell);
  if (spans.length === 0) missing.push(`no test is named: ${cell}`);
  for (const [index, span] of spans.entries()) {
    if (/\.(test\.ts|ts|sh)$/.test(span) && span.includes('/')) {
      file = existsSync(join(root, span)) ? readFileSync(join(root, span), 'utf8') : undefined;
      titles = 0;
      if (file === undefined) missing.push(`there is no ${span}`);
      else if (span.endsWith('.test.ts') && !isTitle(spans[index + 1])) missing.push(`${span}: which of its tests?`);
    } else {
      titles += 1;
      if (file !== undefined && !hasTitle(file, span)) missing.push(`no test is called so: ${span}`);
    }
  }
  if (file === undefined && titles > 0 && missing.length === 0) missing.push(`titles without a file: ${cell}`);
  return missing;
}

const LITERAL = /'(?:[^'\\\n]|\\.)*'|"[^"\n]*"|`[^`]*`/g;
const TITLE = /\b(?:it|describe)\(\s*$/;
const TITLE_OF_TABLE = /\b(?:it|describe)\((?:`[^`]*\$\{|[a-z]+,)/;

/**
 * Whether a test or a group of tests is called so, or a row of a table of cases, where titles are made of such: a word in a comment
 * or in what an assertion says is none.
 */
function hasTitle(source: string, title: string): boolean {
  const fromTable = TITLE_OF_TABLE.test(source);
  return [...source.matchAll(LITERAL)].some(
    ({ 0: literal, index }) =>
      literal.replaceAll("\\'", "'").includes(title) && (fromTable || TITLE.test(source.slice(0, index))),
  );
}

const isTitle = (span: string | undefined): boolean => span !== undefined && !/^[\w.@-]+(\/[\w.@-]+)+\.ts$/.test(span);
