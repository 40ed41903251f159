import assert from 'node:assert/strict';
import { compare } from '../../bench/harness/compare.ts';
import { plot } from '../../bench/harness/plot.ts';
import { rankTest } from '../../bench/harness/rank-test.ts';
import { figure, summaryTable } from '../../bench/harness/table.ts';
import { judge } from '../../bench/harness/verdict.ts';
import type { Result } from '../../bench/results.ts';

const requests: Result = {
  metric: 'requests',
  unit: '1/s',
  better: 'more',
  samples: { ours: [90, 100, 110], quick: [200, 200, 200], slow: [50, 50, 50] },
  goal: { ratio: 0.4 },
};
const latency: Result = { ...requests, metric: 'latency', better: 'less', goal: { ratio: 0.8, beside: ['slow'] } };

describe('what benchmarks make of their samples', () => {
  describe('rank test', () => {
    // Tables of critical values: smallest p of 3 and 3 is 2 in 20, of 5 and 5 2 in 252
    it('gives the exact probability', () => {
      assert.equal(rankTest([1, 2, 3], [4, 5, 6]), 2 / 20);
      assert.equal(rankTest([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]), 2 / 252);
      // U = 2 of 5 and 5: 4 of 252 sums are as far off on either side
      assert.equal(rankTest([1, 2, 3, 4, 7], [5, 6, 8, 9, 10]), 8 / 252);
    });

    it('takes ties by their mean rank, and what is equal for equal', () => {
      assert.equal(rankTest([5, 5, 5], [5, 5, 5]), 1);
      assert.equal(rankTest([1, 5], [5, 9]), rankTest([9, 5], [5, 1]));
    });

    it('does not mind which is which', () => {
      assert.equal(rankTest([1, 4, 6, 3], [2, 9, 8]), rankTest([2, 9, 8], [1, 4, 6, 3]));
    });
  });

  it('compares with the best of those that the goal names', () => {
    assert.deepEqual(judge(requests), { ours: 'ours', best: { name: 'quick', ratio: 0.5 }, reached: 1.25 });
    const { best, reached } = judge(latency);
    assert.deepEqual(best, { name: 'slow', ratio: 0.5 });
    assert.equal(reached, 0.625);
    assert.equal(judge({ ...latency, goal: { value: 50 } }).reached, 0.5);
    assert.equal(judge({ ...requests, goal: { value: 50 } }).reached, 2);
  });

  it('says in a table what is met', () => {
    const lines = summaryTable(new Map([['relay', [requests, latency]]])).split('\n');
    assert.match(
      lines[2] ?? '',
      /^\| relay \| requests, 1\/s \| 100 \[90\.0 to 110\] \| quick: 200 .*\| 0\.50 \| ≥ 0\.4 × \| yes \|$/,
    );
    assert.match(lines[3] ?? '', /\| 0\.50 \| ≥ 0\.8 × slow \| no \|$/);
  });

  it('draws each goal, cut where it is far off', () => {
    const far: Result = { ...requests, metric: 'a < b', goal: { ratio: 0.001 } };
    const picture = plot(new Map([['relay', [requests, latency, far]]]));
    assert.equal(picture.match(/<rect x/g)?.length, 3);
    assert.match(picture, /relay: a &lt; b/);
    assert.doesNotMatch(picture, /NaN/);
  });

  it('writes three digits that count', () => {
    assert.deepEqual([0.12345, 1.2345, 12.345, 1234.5, 0, Number.NaN].map(figure), [
      '0.123',
      '1.23',
      '12.3',
      '1235',
      '0',
      '–',
    ]);
  });

  it('tells a difference from chance, and from one that nobody has', () => {
    const low = [10, 11, 12, 13, 14];
    const high = [20, 21, 22, 23, 24];
    assert.equal(compare(requests, high, low).verdict, 'better');
    assert.equal(compare(latency, high, low).verdict, 'worse');
    assert.equal(compare(requests, low, low).verdict, 'no difference');
    assert.equal(
      compare(requests, [100.1, 100.2, 100.3, 100.4], [100, 100.01, 100.02, 100.03]).verdict,
      'no difference',
    );
  });
});
