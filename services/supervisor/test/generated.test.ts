import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { withSections } from '../scripts/state-tables.ts';

describe('what is made from the transitions', () => {
  it('the tables in docs/operate.md are up to date (else: npm run generate -w @enclaver/supervisor)', async () => {
    const document = await readFile(new URL('../../../docs/operate.md', import.meta.url), 'utf8');
    assert.equal(document, withSections(document));
  });
});
