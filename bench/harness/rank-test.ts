/**
 * Probability that two samples of one distribution differ at least so much: the test of Mann and Whitney, two-sided. Exact,
 * ties by their mean rank; it takes no distribution for granted, which times of programs do not have.
 */
export function rankTest(ours: readonly number[], others: readonly number[]): number {
  const all = [...ours, ...others].sort((a, b) => a - b);
  // Twice the mean rank, so that it is a whole number
  const rank = (value: number): number => all.indexOf(value) + all.lastIndexOf(value) + 2;
  const sum = ours.reduce((total, value) => total + rank(value), 0);
  const distance = (of: number): number => Math.abs(of - ours.length * (all.length + 1));
  // By how many choices of so many ranks each sum comes about
  const ways = Array.from({ length: ours.length + 1 }, () => new Map<number, number>());
  ways[0]?.set(0, 1);
  for (const next of all.map(rank)) {
    for (let chosen = ours.length; chosen > 0; chosen--) {
      const to = ways[chosen] as Map<number, number>;
      for (const [from, count] of ways[chosen - 1] as Map<number, number>)
        to.set(from + next, (to.get(from + next) ?? 0) + count);
    }
  }
  let extreme = 0;
  let total = 0;
  for (const [of, count] of ways[ours.length] as Map<number, number>) {
    total += count;
    if (distance(of) >= distance(sum)) extreme += count;
  }
  return extreme / total;
}
