/**
 * How bytes are cut on their way into a subject in process: any split of the input must give the same behaviour.
 */
import { seededNumbers } from './random.ts';

/** `bytes`: one at a time, for writes up to `upTo`, and seeded cuts for larger ones. `seeded`: `cuts` cuts at random places. */
export type Split =
  | { readonly how: 'whole' }
  | { readonly how: 'bytes'; readonly upTo: number; readonly seed: number; readonly cuts: number }
  | { readonly how: 'seeded'; readonly seed: number; readonly cuts: number };

export const whole: Split = { how: 'whole' };

/** Single bytes in writes up to 64 KiB and their header, 20 seeded cuts in larger ones. */
export function singleBytes(seed = 1): Split {
  return { how: 'bytes', upTo: 65_536 + 16, seed, cuts: 20 };
}

export type Splitter = (bytes: Uint8Array) => Iterable<Uint8Array>;

export function splitterFor(split: Split): Splitter {
  if (split.how === 'whole') return (bytes) => [bytes];
  const next = seededNumbers(split.seed);
  const cut = (bytes: Uint8Array): Uint8Array[] => {
    const places = Array.from({ length: split.cuts }, () => next() % (bytes.length + 1)).sort((a, b) => a - b);
    const edges = [0, ...places, bytes.length];
    return edges.slice(1).flatMap((end, i) => (end > (edges[i] ?? 0) ? [bytes.subarray(edges[i], end)] : []));
  };
  return (bytes) => (split.how === 'bytes' && bytes.length <= split.upTo ? singles(bytes) : cut(bytes));
}

function* singles(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += 1) yield bytes.subarray(i, i + 1);
}
