/**
 * Memory of the receiver: scratch for bytes that live until a call returns, and the memory of binary messages.
 *
 * Scratch is taken and given back, since a callback may feed another connection. If a callback throws, the piece is not given back, and the
 * next taker makes a new one. Beware: binary messages of 65 to 2048 bytes are cut from a slab of 8 KiB, because an `ArrayBuffer` of their own
 * costs four times as much to make; such a message keeps up to 8 KiB alive (bench: `parse`, 125 B).
 */

export const SCRATCH_SIZE = 65536;
const MOST_SCRATCH = 4;
const scratches: Uint8Array[] = [];

export function takeScratch(): Uint8Array {
  return scratches.pop() ?? new Uint8Array(SCRATCH_SIZE);
}
export function giveScratch(bytes: Uint8Array): void {
  if (scratches.length < MOST_SCRATCH) scratches.push(bytes);
}

/** Up to here V8 keeps the bytes of a typed array in the object. */
const ON_HEAP = 64;
const FROM_SLAB = 2048;
const SLAB = 8192;
let slab = new Uint8Array(SLAB);
let slabUsed = 0;

/** New memory of exactly `size` bytes. */
export function messageMemory(size: number): Uint8Array {
  if (size <= ON_HEAP || size > FROM_SLAB) return new Uint8Array(size);
  if (slabUsed + size > SLAB) {
    slab = new Uint8Array(SLAB);
    slabUsed = 0;
  }
  const bytes = new Uint8Array(slab.buffer, slabUsed, size);
  // Aligned, so that masking starts on a word.
  slabUsed = (slabUsed + size + 7) & ~7;
  return bytes;
}
