/**
 * fast-check with the same inputs every time, and fewer of them: a mutant that needs hundreds to be noticed is noticed by other tests. How many
 * is in `globalThis.__mostRuns`.
 */
import fc from 'fast-check';

export * from 'fast-check';

/** @param {Parameters<typeof fc.assert>[0]} property @param {Parameters<typeof fc.assert>[1]} [options] */
export const assert = (property, options) => {
  const { __mostRuns: most } = /** @type {{ __mostRuns?: number }} */ (globalThis);
  return fc.assert(property, { seed: 1, ...options, numRuns: Math.min(options?.numRuns ?? 100, most ?? 30), endOnFailure: true });
};

/** @type {typeof fc} */
const fewer = Object.create(fc);
Object.defineProperty(fewer, 'assert', { value: assert });
export default fewer;
