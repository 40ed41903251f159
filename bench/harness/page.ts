import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '../results.ts';
import { type Part, parts } from './parts.ts';
import { plot } from './plot.ts';
import { summaryTable } from './table.ts';

const [BEGIN, END] = ['<!-- begin: npm run bench -- --write -->', '<!-- end -->'];

/** One part, as it was measured last. */
interface Measured {
  /** Machine, versions and revision. */
  origin: string;
  results: readonly Result[];
}

/** By part, what `docs/performance.json` has: the samples behind the table and the plot. */
type Kept = Record<string, Measured>;

/** Puts what was measured in the place of what these parts had before: samples, table and plot in `docs`, a folder. */
export function writePage(docs: string, origin: string, measured: ReadonlyMap<string, readonly Result[]>): void {
  const file = join(docs, 'performance.json');
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept;
  for (const [part, results] of measured) kept[part] = { origin, results };
  const all = parts.flatMap(({ name }) => (kept[name] === undefined ? [] : [[name, kept[name]] as const]));
  writeFileSync(file, jsonOf(all));
  const results = new Map(all.map(([name, { results }]) => [name, results]));
  writeFileSync(join(docs, 'performance.svg'), plot(results));
  const page = join(docs, 'performance.md');
  const [before = '', rest = ''] = readFileSync(page, 'utf8').split(BEGIN);
  const table = `${origins(all)}\n\n${summaryTable(results)}\n\n![How much of each goal is reached](performance.svg)`;
  writeFileSync(page, `${before}${BEGIN}\n${table}\n${rest.slice(rest.indexOf(END))}`);
}

/** A metric a line, so that a change of one shows as one. */
function jsonOf(all: readonly (readonly [string, Measured])[]): string {
  const texts = all.map(([name, { origin, results }]) => {
    const lines = results.map((result) => `  ${JSON.stringify(result)}`).join(',\n');
    return ` ${JSON.stringify(name)}: {"origin": ${JSON.stringify(origin)}, "results": [\n${lines}\n ]}`;
  });
  return `{\n${texts.join(',\n')}\n}\n`;
}

/** Where the figures are from, since they hold there. */
function origins(all: readonly (readonly [Part['name'], Measured])[]): string {
  const byOrigin = Map.groupBy(all, ([, { origin }]) => origin);
  const lines = [...byOrigin].map(([origin, group]) => {
    const names = byOrigin.size === 1 ? '' : `${group.map(([name]) => name).join(', ')}: `;
    return `${names}${origin}.`;
  });
  return `Medians with the range.\n\n${lines.map((line) => `- ${line}`).join('\n')}`;
}
