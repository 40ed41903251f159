import { appendFileSync } from 'node:fs';

/** One metric of one part, as its rounds gave it. */
export interface Result {
  /** What was measured, without its unit: `tunnels`, `bulk down, 8 streams`. */
  metric: string;
  unit: string;
  better: 'more' | 'less';
  /** By who was measured, ours first; a round gives each of them one sample, in turns. */
  samples: Readonly<Record<string, readonly number[]>>;
  goal?: Goal;
}

/**
 * What ours shall come to. `ratio`: at least so many times as good as the best of `beside`, of all others by default
 * (ours / theirs where more is better, theirs / ours where less is). `value`: at least, or at most, so much.
 */
export type Goal = { ratio: number; beside?: readonly string[] } | { value: number };

/** Name of the variable with the file that results are added to, a line of JSON each. */
export const RESULTS_FILE = 'ENCLAVER_BENCH_RESULTS';

/** Hands results to the command that runs this part; nothing when the part is run by itself. */
export function publish(results: readonly Result[]): void {
  const file = process.env[RESULTS_FILE];
  if (file === undefined) return;
  appendFileSync(file, results.map((result) => `${JSON.stringify(result)}\n`).join(''));
}

/** Rounds a part is told to run, its only argument. */
export function roundsOf(argument: string | undefined, otherwise: number): number {
  const rounds = Number(argument ?? otherwise);
  if (Number.isInteger(rounds) && rounds >= 1) return rounds;
  throw new Error(`rounds is ${argument}; it is a whole number from 1`);
}
