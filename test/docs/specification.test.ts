import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { figure } from '../../bench/harness/table.ts';
import { judge } from '../../bench/harness/verdict.ts';
import type { Result } from '../../bench/results.ts';
import { summarize } from '../../bench/statistics.ts';
import { codeSpans, missingTests, tables } from './tables.ts';

const root = join(import.meta.dirname, '../..');
const rows = tables(readFileSync(join(root, 'SPECIFICATION.md'), 'utf8'), 'What');

const UNITS: Readonly<Record<string, number>> = {
  bytes: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
};

/** A number with its unit: bytes, or milliseconds, or a count. */
function amountOf(text: string): number {
  const [, digits = '', unit] = /^([\d,]+)(?: (\w+))?$/.exec(text) ?? [];
  const factor = unit === undefined ? 1 : UNITS[unit];
  assert.ok(digits !== '' && factor !== undefined, `${text} is no number with a unit that is known`);
  return Number(digits.replaceAll(',', '')) * factor;
}

/** What a source has under a name: its own export, or a field of its limits. */
async function sourceValues(cell: string): Promise<number[]> {
  const [path = '', ...names] = codeSpans(cell);
  const module = (await import(join(root, path))) as Record<string, unknown> & { limits?: Record<string, unknown> };
  return names.map((name) => {
    const value = module[name] ?? module.limits?.[name];
    assert.equal(typeof value, 'number', `${path} has no number ${name}`);
    // Fields that count seconds say so in their names
    return Number(value) * (name.endsWith('Seconds') ? 1_000 : 1);
  });
}

const performance = JSON.parse(readFileSync(join(root, 'docs/performance.json'), 'utf8')) as Record<
  string,
  { results: readonly Result[] }
>;

/** Ours as its benchmark has it, and its goal: beside others so many times what they take, else a figure. */
function measuredOf(part: string, metric: string): { ours: number; goal: number; isKept: boolean } {
  const result =
    performance[part]?.results.find((each) => each.metric === metric) ??
    assert.fail(`docs/performance.json has no ${metric} of ${part}`);
  const { goal, samples, better } = result;
  assert.ok(goal !== undefined, `${metric} of ${part} has no goal`);
  const [ours = [], theirs = []] = Object.values(samples);
  const isKept = (judge(result).reached ?? 0) >= 1;
  if ('value' in goal) return { ours: summarize(ours).median, goal: goal.value, isKept };
  assert.equal(better, 'less', `${metric}: what is promised of a ratio is how much more it may take`);
  const ratios = ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
  return { ours: summarize(ratios).median, goal: 1 / goal.ratio, isKept };
}

/** A figure is the last one of that metric, of the benchmark that is named, whose goal is what is promised, and which is kept. */
function holdMeasured(measured: string, metric: string, promised: string, shownBy: string): void {
  const [, part = ''] = /^bench\/(\w+)\/main\.ts$/.exec(codeSpans(shownBy)[0] ?? '') ?? [];
  const { ours, goal, isKept } = measuredOf(part, metric);
  assert.equal(measured.replaceAll(',', ''), figure(ours), `${metric}: take its new figure`);
  assert.equal(Number.parseFloat(promised.replaceAll(',', '')), goal);
  assert.ok(isKept, `${measured} beside ${promised}`);
}

describe('SPECIFICATION.md', () => {
  it('promises numbers of each kind', () => {
    assert.ok(rows.length >= 40, String(rows.length));
  });

  for (const [what = '', number = '', source = '', shownBy = ''] of rows) {
    it(`${what}: ${number}`, async () => {
      assert.deepEqual(missingTests(shownBy), []);
      if (source === '–') return assert.equal(number, '0');
      const [, measured, metric = ''] = /^measured: ([\d,.]+), `([^`]+)`$/.exec(source) ?? [];
      if (measured !== undefined) return holdMeasured(measured, metric, number, shownBy);
      for (const value of await sourceValues(source)) assert.equal(value, amountOf(number));
    });
  }

  it('reads numbers with their units', () => {
    assert.deepEqual(['10,000', '16 KiB', '5 min'].map(amountOf), [10_000, 16_384, 300_000]);
    assert.throws(() => amountOf('some'), /no number/);
  });
});
