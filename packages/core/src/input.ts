/**
 * Unread input: chunks that came while nobody could read them (paused, pull mode, a step budget).
 *
 * Memory follows bytes and not chunks: a chunk that is small, or small beside the memory it stands in, is copied into a growing tail, so a
 * peer that sends single bytes cannot make the list long (ws GHSA-96hv-2xvq-fx4p). A chunk that is kept by reference is never written.
 */

/** From this many bytes on a chunk is kept by reference. */
const REFERENCE_FROM = 4096;
const FIRST_TAIL = 256;
const LARGEST_TAIL = 65536;

export interface Chunk {
  readonly bytes: Uint8Array;
  /** The connection's own: may be unmasked in place. */
  readonly own: boolean;
}

export class InputQueue {
  #chunks: { bytes: Uint8Array; own: boolean }[] = [];
  #read = 0;
  #tail: Uint8Array | null = null;
  #tailSize = 0;
  size = 0;

  get empty(): boolean {
    return this.size === 0;
  }

  /** `keep`: by reference if large enough; otherwise always copied. */
  push(bytes: Uint8Array, keep: boolean, own: boolean): void {
    // not covered: the connection gives no empty chunk.
    if (bytes.length === 0) return;
    this.size += bytes.length;
    if (keep && bytes.length >= REFERENCE_FROM && bytes.length * 2 >= bytes.buffer.byteLength) {
      this.#seal();
      this.#chunks.push({ bytes, own });
      return;
    }
    if (this.size === bytes.length && this.#tail === null) {
      // Alone in the queue, as ever in pull mode: a copy of its size costs a third of a tail.
      this.#chunks.push({ bytes: copyOf(bytes), own: true });
      return;
    }
    let from = 0;
    while (from < bytes.length) {
      if (this.#tail === null || this.#tailSize === this.#tail.length) {
        this.#seal();
        const size = Math.min(LARGEST_TAIL, Math.max(FIRST_TAIL, this.size, bytes.length - from));
        this.#tail = new Uint8Array(size);
      }
      const n = Math.min(bytes.length - from, this.#tail.length - this.#tailSize);
      this.#tail.set(bytes.subarray(from, from + n), this.#tailSize);
      this.#tailSize += n;
      from += n;
    }
  }

  #seal(): void {
    if (this.#tail !== null && this.#tailSize > 0) this.#chunks.push({ bytes: this.#tail.subarray(0, this.#tailSize), own: true });
    this.#tail = null;
    this.#tailSize = 0;
  }

  /** The next chunk, or null. */
  shift(): Chunk | null {
    if (this.#read === this.#chunks.length) {
      this.#chunks = [];
      this.#read = 0;
      this.#seal();
      if (this.#chunks.length === 0) return null;
    }
    const chunk = this.#chunks[this.#read++] as Chunk;
    this.size -= chunk.bytes.length;
    if (this.#read === this.#chunks.length) {
      this.#chunks = [];
      this.#read = 0;
    }
    return chunk;
  }

  /** Puts the unread rest of the last chunk back in front. */
  unshift(bytes: Uint8Array, own: boolean): void {
    // not covered: the connection gives no empty chunk.
    if (bytes.length === 0) return;
    this.size += bytes.length;
    this.#chunks.splice(0, this.#read, { bytes, own });
    this.#read = 0;
  }
}

/** Up to here V8 keeps the bytes of a typed array in the object, and a loop beats `set`. */
const ON_HEAP = 64;

function copyOf(bytes: Uint8Array): Uint8Array {
  const size = bytes.length;
  const copy = new Uint8Array(size);
  if (size > ON_HEAP) copy.set(bytes);
  else for (let at = 0; at < size; at++) copy[at] = bytes[at] as number;
  return copy;
}
