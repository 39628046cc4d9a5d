/**
 * What is made of the measurements: medians, and ratios taken within a round so that a machine that slows down slows both sides.
 */

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median over rounds of `theirs / ours`: above 1, ours is cheaper. Both lists have one cost per round, in the same order. */
export function medianRatio(theirs: readonly number[], ours: readonly number[]): number {
  const ratios: number[] = [];
  for (const [round, cost] of theirs.entries()) {
    const own = ours[round];
    if (own !== undefined) ratios.push(cost / own);
  }
  return median(ratios);
}
