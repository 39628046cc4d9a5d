/**
 * Memory of messages that came back from the application (`recycleInput`), for later ones: of whichever connection, as long as both have their
 * memory from the same source (`kernels.allocate`). What waits is bounded, and what comes last is used first.
 *
 * Beware: a buffer may be handed back twice, or may have been transferred meanwhile.
 */
import { type Home, isLent } from './loans.ts';
import type { Allocate } from './memory.ts';

/** Below this nothing comes back: new memory costs no more. */
const LEAST = 4096;
/** Of one piece, of all together, and in pieces. */
const MOST_PIECE = 1 << 20;
const MOST_BYTES = 4 << 20;
const MOST_PIECES = 64;

/** Buffers of which a message shows a part: they may come back, as a part of somebody's input may not. */
const cut: WeakSet<ArrayBufferLike> = new WeakSet();
const all: WeakMap<Allocate, Spares> = new WeakMap();

/** One for all connections with the same allocator. */
export function sparesOf(allocate: Allocate): Spares {
  let spares = all.get(allocate);
  if (spares === undefined) {
    spares = new Spares(allocate);
    all.set(allocate, spares);
  }
  return spares;
}

export class Spares implements Home {
  readonly #allocate: Allocate;
  readonly #pieces: Uint8Array[] = [];

  constructor(allocate: Allocate) {
    this.#allocate = allocate;
  }

  /** Memory for `size` bytes that is at most twice as large: what came back, if it fits. */
  memory(size: number): Uint8Array {
    const pieces = this.#pieces;
    for (let at = pieces.length - 1; at >= 0; at--) {
      const piece = pieces[at] as Uint8Array;
      if (size > piece.length || size * 2 < piece.length) continue;
      // Nearly always it is the last.
      if (at === pieces.length - 1) pieces.pop();
      else pieces.splice(at, 1);
      if (piece.length === size) return piece;
      cut.add(piece.buffer);
      return new Uint8Array(piece.buffer, 0, size);
    }
    return this.#allocate(size);
  }

  /** Memory that the application does not use any more; what was sent on and is still to be written comes when it was. */
  recycle(data: Uint8Array): void {
    const { buffer } = data;
    const size = buffer.byteLength;
    // Transferred input may show a message from its start, and unread frames behind it.
    if (data.length !== size && !cut.has(buffer)) return;
    if (data.byteOffset !== 0 || data.length * 2 < size || size < LEAST || size > MOST_PIECE) return;
    if (!isLent(buffer, this)) this.keep(buffer);
  }
  keep(buffer: ArrayBufferLike): void {
    const pieces = this.#pieces;
    let size = buffer.byteLength;
    if (size === 0 || pieces.some((piece) => piece.buffer === buffer)) return;
    for (const piece of pieces) size += piece.length;
    while (size > MOST_BYTES || pieces.length >= MOST_PIECES) size -= (pieces.shift() as Uint8Array).length;
    pieces.push(new Uint8Array(buffer));
  }
}
