/** How a run of bytes is cut into the pieces that a reader sees. A stream keeps the order of bytes and nothing else. */

/**
 * - a number: pieces of that size
 * - a list: sizes that are used in turn, again from the first after the last
 * - a function: the size of the next piece, given how many bytes are left
 *
 * Sizes below 1 count as 1.
 */
export type Split = number | readonly number[] | ((remaining: number) => number);

/** A function that says how long the next piece is, from 1 to `remaining`. */
export function pieceSizes(split: Split | undefined): (remaining: number) => number {
  if (split === undefined) return (remaining) => remaining;
  let turn = 0;
  const next = typeof split === 'function' ? split : typeof split === 'number' ? () => split : () => split[turn++ % split.length] ?? 1;
  return (remaining) => Math.max(1, Math.min(remaining, Math.floor(next(remaining)) || 1));
}

/** The pieces of `bytes`, each a copy of its own. */
export function splitBytes(bytes: Uint8Array, split?: Split): Uint8Array[] {
  const size = pieceSizes(split);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = start + size(bytes.length - start);
    pieces.push(new Uint8Array(bytes.subarray(start, end)));
    start = end;
  }
  return pieces;
}

/** Always a copy, of a single piece too. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
