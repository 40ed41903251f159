/** Where a measure is, and where it goes. */
export interface Trend {
  readonly median: number;
  /** Median of the slopes between any two points (Theil and Sen): a quarter of the points may be anything. */
  readonly perHour: number;
  /** By that slope, from the first to the last point; and beside the median. */
  readonly growth: number;
  readonly percent: number;
}

export interface Point {
  readonly seconds: number;
  readonly value: number;
}

/** Of the last two thirds of the time: before that a process warms up. */
export function trendOf(points: readonly Point[]): Trend {
  const end = points.at(-1)?.seconds ?? 0;
  const settled = points.filter(({ seconds }) => seconds >= end / 3);
  const slopes = settled.flatMap((a, index) =>
    settled
      .slice(index + 1)
      .filter(({ seconds }) => seconds > a.seconds)
      .map((b) => ((b.value - a.value) / (b.seconds - a.seconds)) * 3600),
  );
  const median = medianOf(settled.map(({ value }) => value));
  const perHour = medianOf(slopes);
  const growth = (perHour * (end - (settled[0]?.seconds ?? 0))) / 3600;
  return { median, perHour, growth, percent: (growth * 100) / median };
}

/** What a measure may become more by, from the first to the last point: it grows if it is more than both. */
export interface Bound {
  readonly growth: number;
  readonly percent: number;
}

export const grows = (trend: Trend, bound: Bound): boolean =>
  trend.growth > bound.growth && trend.percent > bound.percent;

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2;
}
