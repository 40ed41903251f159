import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { withCodes } from '../scripts/nitro-codes.ts';
import { withSections } from '../scripts/state-tables.ts';

describe('what is made from tables of the sources', () => {
  it('the tables in docs/operate.md are up to date (else: npm run generate -w @enclaver/supervisor)', async () => {
    const document = await readFile(new URL('../../../docs/operate.md', import.meta.url), 'utf8');
    assert.equal(document, withSections(document));
  });

  it('the tables in docs/nitro.md are up to date (else: npm run generate -w @enclaver/supervisor)', async () => {
    const document = await readFile(new URL('../../../docs/nitro.md', import.meta.url), 'utf8');
    assert.equal(document, withCodes(document));
  });
});
