import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { withSection } from '../../scripts/doc-section.ts';
import { metricsSection, metricsTable } from '../../scripts/docs/metrics-table.ts';

describe('observe.md', () => {
  it('lists the metrics that the services register', async () => {
    const document = await readFile(new URL('../../docs/observe.md', import.meta.url), 'utf8');
    const table = metricsTable();
    assert.ok(table.split('\n').length > 40);
    assert.equal(document, withSection(document, metricsSection, table), 'run node scripts/docs/metrics.ts');
  });
});
