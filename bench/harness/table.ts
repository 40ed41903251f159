import type { Goal, Result } from '../results.ts';
import { summarize } from '../statistics.ts';
import { judge } from './verdict.ts';

/** Of each metric a line: ours, the best of the others, the ratio, the goal and whether it is met. Markdown. */
export function summaryTable(results: ReadonlyMap<string, readonly Result[]>): string {
  const rows = [...results].flatMap(([part, all]) =>
    all.map((result) => {
      const { ours, best, reached } = judge(result);
      const cells = [
        part,
        `${result.metric}, ${result.unit}`,
        range(result.samples[ours] ?? []),
        best ? `${best.name}: ${range(result.samples[best.name] ?? [])}` : '–',
        best ? best.ratio.toFixed(2) : '–',
        result.goal ? goalText(result.goal, result.better) : '–',
        reached === undefined ? '–' : reached >= 1 ? 'yes' : 'no',
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  );
  return [
    '| Part | What | Ours | Best beside it | Times as good | Goal | Met |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function goalText(goal: Goal, better: Result['better']): string {
  if ('value' in goal) return `${better === 'more' ? '≥' : '≤'} ${figure(goal.value)}`;
  const { beside = [] } = goal;
  const others = beside.length > 2 ? ` the best of ${beside.length} like it` : beside.map((name) => ` ${name}`).join();
  return `≥ ${goal.ratio} ×${others}`;
}

/** Median with the range. */
export function range(values: readonly number[]): string {
  const { median, min, max, count } = summarize(values);
  return count === 1 ? figure(median) : `${figure(median)} [${figure(min)} to ${figure(max)}]`;
}

/** Three digits that count, and no exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}
