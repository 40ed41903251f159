import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { findingKinds, kmsStatement, lintPolicy, registers } from '../src/index.ts';
import { pcr, ROLE } from './support.ts';

const markdown = readFileSync(new URL('../../../docs/trust.md', import.meta.url), 'utf8');

/** Rows of the table whose header begins so, as texts of cells. */
function table(firstCell: string): string[][] {
  const [, ...rows] =
    markdown
      .slice(markdown.indexOf(`| ${firstCell} |`))
      .split('\n\n')[0]
      ?.split('\n') ?? [];
  return rows.slice(1).map((row) => row.slice(2, -2).split(' | '));
}

describe('docs/trust.md', () => {
  it('has every finding of the linter as the linter says it', () => {
    const kinds = Object.entries(findingKinds);
    assert.deepEqual(
      table('Finding'),
      kinds.map(([id, { severity, why, remedy }]) => [`\`${id}\``, severity, why, remedy]),
    );
  });

  it('has every register as `enclaver trust` says it', () => {
    assert.deepEqual(
      table('Register'),
      Object.entries(registers).map(([name, meaning]) => [
        `\`${name}\``,
        meaning.measures,
        meaning.changesWith,
        meaning.zeroWhen,
      ]),
    );
  });

  it('shows a statement for the account that the linter has only a note on', () => {
    const [, shown = ''] = /```json\n(.*?)```/s.exec(markdown) ?? [];
    const pcrs = { PCR0: pcr('a'), PCR1: pcr('b'), PCR2: pcr('c') };
    const policy = JSON.stringify({ Statement: [JSON.parse(shown), kmsStatement({ principal: ROLE, pcrs })] });
    assert.deepEqual(
      lintPolicy(policy, pcrs).map(({ id }) => id),
      ['account-can-change-policy'],
    );
  });
});
