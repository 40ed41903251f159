/** Median and range of some figures. */
export interface Summary {
  median: number;
  min: number;
  max: number;
  count: number;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
  return { median, min: at(0), max: at(sorted.length - 1), count: sorted.length };
}

export function formatSummary({ median, min, max, count }: Summary, unit: string): string {
  return `${median.toFixed(1)} ${unit} [${min.toFixed(1)} to ${max.toFixed(1)}, ${count} runs]`;
}
