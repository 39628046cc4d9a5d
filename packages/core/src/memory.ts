/**
 * Memory of the receiver: scratch for bytes that live until a call returns, and the memory of binary messages.
 *
 * Scratch is taken and given back, since a callback may feed another connection. If a callback throws, the piece is not given back, and the
 * next taker makes a new one. Beware: binary messages of 65 to 2048 bytes are cut from a slab of 8 KiB, because an `ArrayBuffer` of their own
 * costs four times as much to make; such a message keeps up to 8 KiB alive (bench: `parse`, 125 B).
 */
import { littleEndian, WORDS_UNTIL, wordsOf } from './views.ts';

export const SCRATCH_SIZE = 65536;
const MOST_SCRATCH = 4;
const scratches: Uint8Array[] = [];

export function takeScratch(): Uint8Array {
  return scratches.pop() ?? new Uint8Array(SCRATCH_SIZE);
}
export function giveScratch(bytes: Uint8Array): void {
  if (scratches.length < MOST_SCRATCH) scratches.push(bytes);
}

/** Up to here V8 keeps the bytes of a typed array in the object, where it is built to. */
const ON_HEAP = 64;
const FROM_SLAB = 2048;
const SLAB = 8192;
/** Beyond, a native copy and a kernel are faster than a loop. */
const WORDS_UP_TO = 384;

export type Allocate = (size: number) => Uint8Array<ArrayBuffer>;
export const zeroed: Allocate = (size) => new Uint8Array(size);

let slabBuffer = new ArrayBuffer(SLAB);
let slab = new Uint8Array(slabBuffer);
let slabWords = new Int32Array(slabBuffer);
let slabUsed = 0;

function cut(size: number, alignment: number, allocate: Allocate): number {
  // A slab begins at a word, so from here on both ends of a copy may be at the same distance from one.
  let at = ((slabUsed + 3) & ~3) + alignment;
  if (at + size > SLAB) {
    slab = allocate(SLAB);
    slabBuffer = slab.buffer;
    slabWords = new Int32Array(slabBuffer);
    at = alignment;
  }
  slabUsed = at + size;
  return at;
}

/** New memory of exactly `size` bytes, which the caller fills. */
export function messageMemory(size: number, allocate: Allocate): Uint8Array {
  if (size <= ON_HEAP) return allocate(size);
  if (size > FROM_SLAB) return allocate(size);
  const at = cut(size, 0, allocate);
  return new Uint8Array(slabBuffer, at, size);
}

/** Can a loop over words copy this? */
function isShort(bytes: Uint8Array, start: number, size: number): boolean {
  return size > ON_HEAP && size <= WORDS_UP_TO && bytes.byteOffset + start + size <= WORDS_UNTIL;
}

/**
 * `bytes[start, end)`, unmasked, in new memory; null for sizes that are not cut from the slab. The copy lies in memory as the original does,
 * relative to words, so that one loop over words copies and unmasks (bench: `parse`, 125 B).
 */
export function copyToSlab(bytes: Uint8Array, start: number, end: number, key: number, allocate: Allocate): Uint8Array | null {
  const size = end - start;
  if (!isShort(bytes, start, size)) return null;
  const to = cut(size, (bytes.byteOffset + start) & 3, allocate);
  copyWords(bytes, start, size, key, slab, slabWords, to);
  return new Uint8Array(slabBuffer, to, size);
}

/** Short text is copied here to be decoded, which happens before anything else can. */
const textWords = new Int32Array((WORDS_UP_TO >> 2) + 2);
export const textMemory: Uint8Array = new Uint8Array(textWords.buffer);

/** The same into `textMemory`: returns where the text begins there, -1 for sizes that do not go by words. */
export function copyForText(bytes: Uint8Array, start: number, end: number, key: number): number {
  const size = end - start;
  if (!isShort(bytes, start, size)) return -1;
  const to = (bytes.byteOffset + start) & 3;
  copyWords(bytes, start, size, key, textMemory, textWords, to);
  return to;
}

/** `target` and `targetWords` show the same buffer from its first byte; `to` is as far from a word as the source. */
function copyWords(
  bytes: Uint8Array,
  start: number,
  size: number,
  key: number,
  target: Uint8Array,
  targetWords: Int32Array,
  to: number,
): void {
  const from = bytes.byteOffset + start;
  const wordEnd = (from + size) >> 2;
  const words = wordsOf(bytes.buffer, wordEnd);
  let at = 0;
  let rotated = key;
  while (((from + at) & 3) !== 0) {
    rotated = (rotated << 8) | (rotated >>> 24);
    target[to + at] = (bytes[start + at] as number) ^ rotated;
    at++;
  }
  // not covered: the other order needs a big-endian machine.
  const inMemory = littleEndian ? (rotated << 24) | ((rotated & 0xff00) << 8) | ((rotated >>> 8) & 0xff00) | (rotated >>> 24) : rotated | 0;
  let source = (from + at) >> 2;
  let next = (to + at) >> 2;
  for (const last = wordEnd - 4; source <= last; source += 4) {
    targetWords[next] = (words[source] as number) ^ inMemory;
    targetWords[next + 1] = (words[source + 1] as number) ^ inMemory;
    targetWords[next + 2] = (words[source + 2] as number) ^ inMemory;
    targetWords[next + 3] = (words[source + 3] as number) ^ inMemory;
    next += 4;
  }
  for (; source < wordEnd; source++) targetWords[next++] = (words[source] as number) ^ inMemory;
  for (at = (wordEnd << 2) - from; at < size; at++) {
    rotated = (rotated << 8) | (rotated >>> 24);
    target[to + at] = (bytes[start + at] as number) ^ rotated;
  }
}
