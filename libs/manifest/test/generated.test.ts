import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { withSection } from '../../../scripts/doc-section.ts';
import { referenceTable, tableSection } from '../scripts/reference-table.ts';
import { manifestJsonSchema, parseManifest } from '../src/index.ts';

const read = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), 'utf8');

describe('what is made from the schema', () => {
  it('the JSON Schema file is up to date (else: npm run generate -w @enclaver/manifest)', async () => {
    assert.deepEqual(JSON.parse(await read('../enclaver.schema.json')), manifestJsonSchema());
  });

  it('the table in docs/manifest.md is up to date (else: npm run generate -w @enclaver/manifest)', async () => {
    const document = await read('../../../docs/manifest.md');
    assert.equal(document, withSection(document, tableSection, referenceTable()));
  });

  it('every example manifest in docs/manifest.md is valid', async () => {
    const examples = [...(await read('../../../docs/manifest.md')).matchAll(/```yaml\n(version:.*?)```/gs)];
    assert.equal(examples.length, 2);
    for (const [, text = ''] of examples) assert.equal(parseManifest(text).version, 'v1');
  });

  it('the JSON Schema refuses unknown keys in every map and describes every key', () => {
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return;
      if ('properties' in node) {
        assert.equal('additionalProperties' in node && node.additionalProperties, false);
      }
      for (const inner of Object.values(node)) visit(inner);
    };
    visit(manifestJsonSchema());
    assert.equal(JSON.stringify(manifestJsonSchema()).includes('"allowed"'), false);
  });
});
