/** fast-check with fewer runs: a mutant that needs hundreds of them to be noticed is noticed by other tests. */
import fc from 'fast-check';

const MOST_RUNS = 30;

export * from 'fast-check';

/** @param {Parameters<typeof fc.assert>[0]} property @param {Parameters<typeof fc.assert>[1]} [options] */
export const assert = (property, options) => fc.assert(property, { ...options, numRuns: Math.min(options?.numRuns ?? 100, MOST_RUNS) });

/** @type {typeof fc} */
const fewer = Object.create(fc);
Object.defineProperty(fewer, 'assert', { value: assert });
export default fewer;
