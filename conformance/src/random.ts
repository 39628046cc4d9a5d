/**
 * Seeded pseudo-randomness for masks, payloads and splits, so that every run can be repeated. Not for anything secret. The generator is
 * mulberry32: 32 bits of state, one multiplication chain per number.
 */

/** Numbers from 0 to 2^32 - 1, the same for the same seed. */
export type Uint32Source = () => number;

export function seededNumbers(seed: number): Uint32Source {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A seed for a named thing (FNV-1a): cases run in any order, or in parallel, and still get the same numbers. */
export function seedFor(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ (seed >>> 0);
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Fills `target`, as the core's `RandomSource` does. */
export function seededBytes(seed: number): (target: Uint8Array) => void {
  const next = seededNumbers(seed);
  return (target) => {
    for (let i = 0; i < target.length; i += 1) target[i] = next() & 0xff;
  };
}
