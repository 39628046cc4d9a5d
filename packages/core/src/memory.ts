/**
 * Memory of the receiver: scratch for bytes that live until a call returns, and the memory of binary messages.
 *
 * Scratch is taken and given back, since a callback may feed another connection. If a callback throws, the piece is not given back, and the
 * next taker makes a new one. Up to 2 MiB of it wait, which is what four messages of 1 MiB that come at the same time pass through (`assembly.ts`;
 * bench: `echo --runtime deno`, 1 MiB).
 *
 * Beware: binary messages of 65 to 2048 bytes are cut from a slab of 16 KiB, because an `ArrayBuffer` costs 2 to 4 us to make and collect,
 * whatever its size; such a message keeps up to 16 KiB alive (bench: `parse`, 125 B and 1 KiB: with slabs of 8 KiB the latter took a third longer).
 */
import { littleEndian, WORDS_UNTIL, wordsOf } from './views.ts';

export const SCRATCH_SIZE = 65536;
const MOST_SCRATCH = 32;
const scratches: Uint8Array[] = [];

export function takeScratch(): Uint8Array {
  return scratches.pop() ?? new Uint8Array(SCRATCH_SIZE);
}
export function giveScratch(bytes: Uint8Array): void {
  if (scratches.length < MOST_SCRATCH) scratches.push(bytes);
}

/** Up to here V8 keeps the bytes of a typed array in the object, where it is built to. */
export const ON_HEAP = 64;
export const FROM_SLAB = 2048;
export const SLAB = 16_384;
/** Beyond, a native copy and a kernel are faster than a loop. */
const WORDS_UP_TO = 384;

export type Allocate = (size: number) => Uint8Array<ArrayBuffer>;
export const zeroed: Allocate = (size) => new Uint8Array(size);

let slab = new Uint8Array(0);
let slabBuffer = slab.buffer;
let slabWords = new Int32Array(slabBuffer);
let slabUsed = 0;

function cut(size: number, alignment: number, allocate: Allocate): number {
  // A slab begins at a word, so from here on both ends of a copy may be at the same distance from one.
  let at = ((slabUsed + 3) & ~3) + alignment;
  // The length is none as well when the application has transferred the buffer of a message: the next one must not feel it.
  if (at + size > slab.length) {
    slab = allocate(SLAB);
    slabBuffer = slab.buffer;
    slabWords = new Int32Array(slabBuffer);
    at = alignment;
  }
  slabUsed = at + size;
  return at;
}

/** New memory of exactly `size` bytes, at most `FROM_SLAB`, which the caller fills. */
export function cutFromSlab(size: number, allocate: Allocate): Uint8Array {
  const at = cut(size, 0, allocate);
  return new Uint8Array(slabBuffer, at, size);
}

/** Can a loop over words copy this? */
function goesByWords(bytes: Uint8Array, start: number, size: number): boolean {
  return littleEndian && size > ON_HEAP && size <= WORDS_UP_TO && bytes.byteOffset + start + size <= WORDS_UNTIL;
}

/**
 * `bytes[start, end)`, unmasked, in new memory; null for sizes that are not cut from the slab. The copy lies in memory as the original does,
 * relative to words, so that one loop over words copies and unmasks (bench: `parse`, 125 B).
 */
export function copyToSlab(bytes: Uint8Array, start: number, end: number, key: number, allocate: Allocate): Uint8Array | null {
  const size = end - start;
  if (!goesByWords(bytes, start, size)) return null;
  const to = cut(size, (bytes.byteOffset + start) & 3, allocate);
  copyWords(bytes, start, size, key, slab, slabWords, to);
  return new Uint8Array(slabBuffer, to, size);
}

const textWords = new Int32Array((WORDS_UP_TO >> 2) + 2);
/** Where `copyForText` has put a text, which is decoded before anything else can happen. */
export const copiedText: { readonly bytes: Uint8Array; start: number; isAscii: boolean } = {
  bytes: new Uint8Array(textWords.buffer),
  start: 0,
  isAscii: false,
};

/** As `copyToSlab`, into `copiedText`. False for sizes that do not go by words. */
export function copyForText(bytes: Uint8Array, start: number, end: number, key: number): boolean {
  const size = end - start;
  if (!goesByWords(bytes, start, size)) return false;
  const to = (bytes.byteOffset + start) & 3;
  copiedText.start = to;
  copiedText.isAscii = (copyWords(bytes, start, size, key, copiedText.bytes, textWords, to) & HIGH_BITS) === 0;
  return true;
}

/** Set in every byte that is not ASCII, four at a time. */
const HIGH_BITS = 0x80808080;

/**
 * `target` and `targetWords` show the same buffer from its first byte; `to` is as far from a word as the source. Whole words are copied, those at
 * the ends too, without the bytes in them that are not of the payload. Returns all words, ORed.
 */
function copyWords(
  bytes: Uint8Array,
  start: number,
  size: number,
  maskKey: number,
  target: Uint8Array,
  targetWords: Int32Array,
  to: number,
): number {
  const from = bytes.byteOffset + start;
  const end = from + size;
  const words = wordsOf(bytes, end >> 2);
  const before = (from & 3) << 3;
  // In memory the first octet of the key is the lowest; the first word begins that many bits before the payload.
  const swapped = (maskKey << 24) | ((maskKey & 0xff00) << 8) | ((maskKey >>> 8) & 0xff00) | (maskKey >>> 24);
  const key = (swapped << before) | (swapped >>> (32 - before));
  let source = from >> 2;
  let next = to >> 2;
  let all = ((words[source++] as number) ^ key) & (-1 << before);
  targetWords[next++] = all;
  const wordEnd = end >> 2;
  for (const last = wordEnd - 4; source <= last; source += 4) {
    const a = (words[source] as number) ^ key;
    const b = (words[source + 1] as number) ^ key;
    const c = (words[source + 2] as number) ^ key;
    const d = (words[source + 3] as number) ^ key;
    targetWords[next] = a;
    targetWords[next + 1] = b;
    targetWords[next + 2] = c;
    targetWords[next + 3] = d;
    all |= a | b | c | d;
    next += 4;
  }
  for (; source < wordEnd; source++) {
    const word = (words[source] as number) ^ key;
    targetWords[next++] = word;
    all |= word;
  }
  // One by one, since the memory may end within the word.
  for (let at = (wordEnd << 2) - from, shift = 0; at < size; at++) {
    const byte = (bytes[start + at] as number) ^ ((key >>> shift) & 0xff);
    target[to + at] = byte;
    all |= byte;
    shift += 8;
  }
  return all;
}
