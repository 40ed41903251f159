import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePage } from '../../bench/harness/page.ts';
import type { Result } from '../../bench/results.ts';

const result = (metric: string, ours: number): Result => ({
  metric,
  unit: '1/s',
  better: 'more',
  samples: { ours: [ours], peer: [10] },
  goal: { ratio: 1 },
});

describe('the page of benchmarks', () => {
  let docs: string;

  const read = (name: string): string => readFileSync(join(docs, name), 'utf8');

  beforeEach(() => {
    docs = mkdtempSync(join(tmpdir(), 'bench-page-'));
    writeFileSync(
      join(docs, 'performance.md'),
      'before\n<!-- begin: npm run bench -- --write -->\nold\n<!-- end -->\nafter\n',
    );
    writeFileSync(join(docs, 'performance.json'), '{}\n');
  });

  afterEach(() => rmSync(docs, { recursive: true }));

  it('replaces the parts that were measured, and keeps the others with where they are from', () => {
    const all = new Map([
      ['bus', [result('requests', 20)]],
      ['relay', [result('connections', 5)]],
    ]);
    writePage(docs, 'a machine, revision one', all);
    assert.match(
      read('performance.md'),
      /^before\n<!-- begin[^\n]*\nMedians with the range\.\n\n- a machine, revision one\.\n/,
    );
    writePage(docs, 'a machine, revision two', new Map([['bus', [result('requests', 30)]]]));
    const page = read('performance.md');
    assert.match(page, /\n- relay: a machine, revision one\.\n- bus: a machine, revision two\.\n/);
    // In the order of a byte's way
    assert.match(
      page,
      /\n\| relay \| connections, 1\/s \| 5\.00 \|.*\n\| bus \| requests, 1\/s \| 30\.0 \| peer: 10\.0 \| 3\.00 \|/,
    );
    assert.match(page, /\n<!-- end -->\nafter\n$/);
    assert.doesNotMatch(page, /old|20\.0/);
    assert.match(read('performance.svg'), /relay: connections.*\n.*bus: requests.*3\.00/);
  });
});
