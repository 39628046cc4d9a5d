/**
 * How bytes are cut on their way into a subject in process: any split of the input must give the same behaviour.
 */
import type { Case, Step } from './case.ts';
import { seededNumbers } from './random.ts';

/** `bytes`: one at a time, in messages up to `upTo`, and seeded cuts in larger ones. `seeded`: `cuts` cuts of a message at random places. */
export type Split =
  | { readonly how: 'whole' }
  | { readonly how: 'bytes'; readonly upTo: number; readonly seed: number; readonly cuts: number }
  | { readonly how: 'seeded'; readonly seed: number; readonly cuts: number };

/** Not cut at all. */
export const whole: Split = { how: 'whole' };

/** Single bytes in messages up to 64 KiB, 20 seeded cuts in larger ones. */
export function singleBytes(seed = 1): Split {
  return { how: 'bytes', upTo: 65_536, seed, cuts: 20 };
}

/** `message`: bytes of the message that `bytes` are a write of; default as many as there are. */
export type Splitter = (bytes: Uint8Array, message?: number) => Iterable<Uint8Array>;

export function splitterFor(split: Split): Splitter {
  if (split.how === 'whole') return (bytes) => [bytes];
  const next = seededNumbers(split.seed);
  const cut = (bytes: Uint8Array, message: number): Uint8Array[] => {
    // A write that is part of a message gets its share of the cuts.
    const share = (split.cuts * Math.min(bytes.length, message)) / Math.max(message, 1);
    const count = Math.floor(share) + (next() / 0x1_0000_0000 < share % 1 ? 1 : 0);
    const places = Array.from({ length: count }, () => next() % (bytes.length + 1)).sort((a, b) => a - b);
    const edges = [0, ...places, bytes.length];
    return edges.slice(1).flatMap((end, i) => (end > (edges[i] ?? 0) ? [bytes.subarray(edges[i], end)] : []));
  };
  return (bytes, message = bytes.length) => (split.how === 'bytes' && message <= split.upTo ? new Singles(bytes) : cut(bytes, message));
}

/** No generator, and no `subarray` of what may be a Buffer: there are a hundred million of these in a run. */
class Singles implements IterableIterator<Uint8Array> {
  readonly #bytes: Uint8Array;
  #next = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): IteratorResult<Uint8Array, undefined> {
    const { buffer, byteOffset, length } = this.#bytes;
    if (this.#next === length) return { done: true, value: undefined };
    const value = new Uint8Array(buffer, byteOffset + this.#next, 1);
    this.#next += 1;
    return { done: false, value };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** Bytes of the largest message that a case sends (of a text from a corpus, its characters). */
export function largestMessage(test: Case): number {
  return Math.max(0, ...test.steps.map(sizeOfStep));
}

function sizeOfStep(step: Step): number {
  switch (step.do) {
    case 'frame':
    case 'message':
    case 'raw':
      return step.payload.size;
    case 'header':
      return step.size;
    case 'exchange':
      return step.source.from === 'payload' ? step.source.payload.size : step.source.size;
    default:
      return 0;
  }
}
