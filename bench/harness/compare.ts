import type { Result } from '../results.ts';
import { summarize } from '../statistics.ts';
import type { Part } from './parts.ts';
import { rankTest } from './rank-test.ts';
import { runPart } from './run-part.ts';
import { range } from './table.ts';
import { timesAsGood } from './verdict.ts';

/** Below it a difference is not taken for chance. */
const SIGNIFICANT = 0.05;
/** Less than that is no difference that a user has, however sure it is. */
const WORTH = 0.03;

export interface Comparison {
  metric: string;
  unit: string;
  ours: readonly number[];
  theirs: readonly number[];
  /** How many times as good as theirs ours is, by the medians. */
  ratio: number;
  p: number;
  verdict: 'better' | 'worse' | 'no difference';
}

/** One part of two checkouts in turns, so that what the machine does meanwhile meets both. Who begins changes each time. */
export async function comparePart(ours: string, theirs: string, part: Part, pairs: number): Promise<Comparison[]> {
  const runs = { ours: [] as Result[][], theirs: [] as Result[][] };
  for (let pair = 0; pair < pairs; pair++) {
    const order = pair % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    for (const who of order) runs[who].push(await runPart(who === 'ours' ? ours : theirs, part.name, part.quickRounds));
  }
  return (runs.ours[0] ?? []).flatMap((result) => {
    const of = (all: readonly Result[][]): number[] =>
      all.flatMap((results) => {
        const same = results.find(({ metric }) => metric === result.metric);
        return same ? [...(Object.values(same.samples)[0] ?? [])] : [];
      });
    const [mine, other] = [of(runs.ours), of(runs.theirs)];
    return other.length === 0 ? [] : [compare(result, mine, other)];
  });
}

export function compare(
  result: Omit<Result, 'samples'>,
  ours: readonly number[],
  theirs: readonly number[],
): Comparison {
  const ratio = timesAsGood(result, summarize(ours).median, summarize(theirs).median);
  const p = rankTest(ours, theirs);
  const differs = p < SIGNIFICANT && Math.abs(ratio - 1) >= WORTH;
  const verdict = differs ? (ratio > 1 ? 'better' : 'worse') : 'no difference';
  return { metric: result.metric, unit: result.unit, ours, theirs, ratio, p, verdict };
}

export function comparisonTable(part: string, revision: string, all: readonly Comparison[]): string {
  return [
    `| ${part} | here | ${revision} | times as good | p | |`,
    '| --- | --- | --- | --- | --- | --- |',
    ...all.map(
      ({ metric, unit, ours, theirs, ratio, p, verdict }) =>
        `| ${metric}, ${unit} | ${range(ours)} | ${range(theirs)} | ${ratio.toFixed(2)} | ${p.toFixed(3)} | ${verdict} |`,
    ),
  ].join('\n');
}
