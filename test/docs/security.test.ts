import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeSpans, missingTests, tables } from './tables.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('threat-model.md', () => {
  const document = read('docs/threat-model.md');
  const claims = tables(document, 'It can');

  it('has claims about a parent, an app, a client and a bus client', () => {
    for (const who of ['parent instance', 'app', 'client', 'bus client or service'])
      assert.match(document, new RegExp(`^## A hostile ${who}$`, 'm'));
    assert.ok(claims.length >= 35, String(claims.length));
  });

  for (const [claim = '', , tests = ''] of claims) {
    it(`${claim}: the tests are there`, () => {
      assert.deepEqual(missingTests(tests), []);
    });
  }

  it('finds a test, a file and a title that are not there', () => {
    assert.deepEqual(missingTests('`test/docs/docs.test.ts` `no such title`'), ['no test is called so: no such title']);
    assert.deepEqual(missingTests('`test/docs/none.test.ts` `x`'), ['there is no test/docs/none.test.ts']);
    // A word in it, but no title
    assert.deepEqual(missingTests('`test/bus/full-disk.test.ts` `stores nothing`'), [
      'no test is called so: stores nothing',
    ]);
    assert.deepEqual(missingTests('it is tested'), ['no test is named: it is tested']);
  });

  it('lists the files that compare secrets in constant time', () => {
    const listed = tables(document, 'Where').flatMap(([where = '']) => codeSpans(where));
    const sources = globSync(['{libs,services}/*/src/**/*.ts', 'odyn/src/**/*.ts', 'cli/src/**/*.ts'], { cwd: root });
    assert.deepEqual(
      listed,
      sources.filter((path) => read(path).includes('timingSafeEqual(')),
    );
  });
});

describe('SECURITY.md', () => {
  it('says how to report, what is supported, what counts, and where the threat model is', () => {
    const document = read('SECURITY.md');
    for (const heading of ['Reporting', 'Supported versions', 'What counts', 'What is known'])
      assert.match(document, new RegExp(`^## ${heading}$`, 'm'));
    assert.match(document, /\]\(docs\/threat-model\.md\)/);
  });
});
