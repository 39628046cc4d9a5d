/**
 * Outgoing bytes: a vector of chunks in order, small frames merged in slabs, large payloads by reference.
 *
 * Slabs are shared by all connections and belong to one only while it has bytes to be taken, so an idle connection holds no buffer. A slab
 * whose bytes the transport has taken synchronously comes back through `recycle` and is written again from its start; the unused rest of
 * one that has not come back serves the next writer. Beware: hand a chunk back once, and never one that is still to be written.
 */

import { settle } from './loans.ts';

const SLAB_SIZE = 65536;
const MOST_FREE_SLABS = 8;
/** Less room than this is not worth keeping. */
const SMALLEST_REST = 4096;

interface Slab {
  readonly bytes: Uint8Array;
  used: number;
  /** Ranges that were taken and have not come back. */
  lent: number;
  busy: boolean;
  /** In `free`. */
  kept: boolean;
  /** What was cut last, for the next of the same place and size: a view costs as much as all else in a turn (bench: `echo --runtime bun`). */
  view: Uint8Array | null;
}

const slabs = new WeakMap<ArrayBufferLike, Slab>();
const free: Slab[] = [];
/** The slab of the last cut, whose view is the one that mostly comes back next. */
let latest: Slab | null = null;

function acquire(room: number): Slab {
  for (let i = free.length - 1; i >= 0; i--) {
    const slab = free[i] as Slab;
    if (SLAB_SIZE - slab.used < room) continue;
    // Nearly always it is the last.
    if (i === free.length - 1) free.pop();
    else free.splice(i, 1);
    slab.kept = false;
    slab.busy = true;
    return slab;
  }
  const bytes = new Uint8Array(SLAB_SIZE);
  const slab: Slab = { bytes, used: 0, lent: 0, busy: true, kept: false, view: null };
  slabs.set(bytes.buffer, slab);
  return slab;
}

function keep(slab: Slab): void {
  if (slab.kept || free.length === MOST_FREE_SLABS) return;
  slab.kept = true;
  free.push(slab);
}

function release(slab: Slab): void {
  slab.busy = false;
  if (SLAB_SIZE - slab.used >= SMALLEST_REST) keep(slab);
}

export abstract class OutputQueue {
  /** Behind each chunk by reference stands its size: a list of its own would cost every connection 8 bytes (bench: `memory`). */
  #chunks: (Uint8Array | number)[] | null = null;
  #slab: Slab | null = null;
  /** The first byte of the slab that is ours. */
  #from = 0;
  /** Bytes queued. */
  size = 0;

  /** Room for a frame of up to `room` bytes (at most 60 KiB) in one piece: write to `target` from the returned offset on, then `commit`. */
  protected reserve(room: number): number {
    let slab = this.#slab;
    if (slab === null || SLAB_SIZE - slab.used < room) {
      this.seal();
      slab = acquire(room);
      this.#slab = slab;
      this.#from = slab.used;
    }
    return slab.used;
  }
  protected get target(): Uint8Array {
    return (this.#slab as Slab).bytes;
  }
  protected commit(count: number): void {
    (this.#slab as Slab).used += count;
    this.size += count;
  }
  /** Queues a chunk by reference, of the `size` that was announced for it. Its buffer may still be transferred or resized. */
  protected append(chunk: Uint8Array, size: number): void {
    this.cut();
    this.#chunks ??= [];
    this.#chunks.push(chunk, size);
    this.size += size;
  }

  /** Ends the current range without giving up the slab. */
  private cut(): void {
    const slab = this.#slab;
    if (slab === null || slab.used === this.#from) return;
    const size = slab.used - this.#from;
    let chunk = slab.view;
    // What is still lent lies before `from`.
    if (chunk === null || chunk.length !== size || chunk.byteOffset !== this.#from) {
      chunk = new Uint8Array(slab.bytes.buffer, this.#from, size);
      slab.view = chunk;
    }
    latest = slab;
    if (this.#chunks === null) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    slab.lent++;
    this.#from = slab.used;
  }
  private seal(): void {
    this.cut();
    if (this.#slab !== null) release(this.#slab);
    this.#slab = null;
  }

  /** Does more wait than the bytes of one slab: perhaps memory of the application? */
  get borrows(): boolean {
    return this.#chunks !== null;
  }
  /** Null: what waits by reference has another size than was announced. Then all of it stays queued, to be cleared. */
  take(): Uint8Array[] | null {
    this.seal();
    const parts = this.#chunks ?? [];
    // Most output is one piece of a slab.
    const chunks = parts.length > 1 ? chunksOf(parts) : (parts as Uint8Array[]);
    if (chunks === null) return null;
    this.#chunks = null;
    this.size = 0;
    return chunks;
  }
  /** Drops what is queued. */
  clear(): void {
    this.seal();
    for (const chunk of this.#chunks ?? []) if (typeof chunk !== 'number') recycle(chunk);
    this.#chunks = null;
    this.size = 0;
  }
}

/** Null: one has not the size that stands behind it. */
function chunksOf(parts: readonly (Uint8Array | number)[]): Uint8Array[] | null {
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Uint8Array | number;
    if (typeof part !== 'number') chunks.push(part);
    else if (part !== chunks[chunks.length - 1]?.length) return null;
  }
  return chunks;
}

/** The transport has taken `chunk`. Memory that is not a slab's is the application's own, and is written again only if it was given back. */
export function recycle(chunk: Uint8Array): void {
  const slab = latest?.view === chunk ? latest : slabs.get(chunk.buffer);
  if (slab === undefined) {
    settle(chunk);
    return;
  }
  if (slab.lent === 0) return;
  slab.lent--;
  if (slab.lent > 0 || slab.busy) return;
  slab.used = 0;
  keep(slab);
}
