import type { Result } from '../results.ts';
import { summarize } from '../statistics.ts';

/** Ours beside the best of the others, and what the goal says of it. */
export interface Verdict {
  ours: string;
  /** The best of the others that the goal names, undefined where there is none. */
  best: { name: string; ratio: number } | undefined;
  /** How much of the goal is reached: 1 and more is met. */
  reached: number | undefined;
}

const median = (values: readonly number[] = []): number => summarize(values).median;

/** How many times as good as `theirs` is `ours`. */
export function timesAsGood({ better }: Pick<Result, 'better'>, ours: number, theirs: number): number {
  return better === 'more' ? ours / theirs : theirs / ours;
}

export function judge(result: Result): Verdict {
  const [ours = ''] = Object.keys(result.samples);
  const mine = median(result.samples[ours]);
  const { goal } = result;
  const named = goal !== undefined && 'ratio' in goal ? goal.beside : undefined;
  const others = Object.keys(result.samples).filter((name) => name !== ours && (named?.includes(name) ?? true));
  const [best] = others
    .map((name) => ({ name, ratio: timesAsGood(result, mine, median(result.samples[name])) }))
    .sort((a, b) => a.ratio - b.ratio);
  if (goal === undefined) return { ours, best, reached: undefined };
  if ('value' in goal) return { ours, best, reached: timesAsGood(result, mine, goal.value) };
  return { ours, best, reached: best && best.ratio / goal.ratio };
}
