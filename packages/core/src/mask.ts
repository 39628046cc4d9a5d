/**
 * Masking (RFC 6455 section 5.3), in place or while copying. Masking and unmasking are the same operation.
 *
 * Short payloads are done byte by byte: looking up a view costs more than it saves. Longer ones are done 32 bits at a time through an
 * `Int32Array` over the same memory, with the bytes before the first aligned word done singly and the key rotated to match. Beware:
 * 64-bit lanes (`BigUint64Array`) are faster still on V8 and a hundred times slower on JavaScriptCore, so they are left to an adapter's
 * kernel; and a word's key depends on the byte order of the machine.
 */
import { littleEndian, WORDS_UNTIL, wordsOf } from './views.ts';

/** From this many bytes on words win over bytes, on V8 and on JavaScriptCore. */
const WORDS_FROM = 48;
/** From this many bytes on a native copy and masking in place win over any one-pass loop: the second pass finds its data in the cache. */
const NATIVE_COPY_FROM = 80;

/** The key as seen from `phase` on: its most significant octet masks the next byte. */
function rotate(maskKey: number, phase: number): number {
  const shift = phase << 3;
  return shift === 0 ? maskKey : (maskKey << shift) | (maskKey >>> (32 - shift));
}

function swapOctets(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}

/**
 * XORs `bytes[start, end)` in place with the big-endian `maskKey`, from key byte `phase` (0..3) on. Returns the next phase, so a frame can
 * be unmasked in pieces. Takes Node's Buffers as they are, pooled ones included.
 */
export function applyMask(bytes: Uint8Array, start: number, end: number, maskKey: number, phase: number): number {
  const size = end - start;
  const key = rotate(maskKey, phase);
  if (size >= WORDS_FROM && bytes.byteOffset + end <= WORDS_UNTIL) maskWords(bytes, start, end, key);
  else maskBytes(bytes, start, end, key);
  return (phase + size) & 3;
}

function maskBytes(bytes: Uint8Array, start: number, end: number, key: number): void {
  const k0 = key >>> 24;
  const k1 = key >>> 16;
  const k2 = key >>> 8;
  let at = start;
  // Storing into a byte drops the higher bits. In bounds: `at < end`. The compiler can't know, hence the casts here and below.
  for (const last = end - 4; at <= last; at += 4) {
    (bytes[at] as number) ^= k0;
    (bytes[at + 1] as number) ^= k1;
    (bytes[at + 2] as number) ^= k2;
    (bytes[at + 3] as number) ^= key;
  }
  if (at < end) (bytes[at++] as number) ^= k0;
  if (at < end) (bytes[at++] as number) ^= k1;
  if (at < end) (bytes[at] as number) ^= k2;
}

function maskWords(bytes: Uint8Array, start: number, end: number, key: number): void {
  const base = bytes.byteOffset;
  let at = start;
  while (((base + at) & 3) !== 0) {
    key = (key << 8) | (key >>> 24);
    (bytes[at++] as number) ^= key;
  }
  const wordEnd = (base + end) >> 2;
  const words = wordsOf(bytes, wordEnd);
  // not covered: no machine at hand is big-endian.
  const inMemory = littleEndian ? swapOctets(key) : key | 0;
  let word = (base + at) >> 2;
  for (const last = wordEnd - 8; word <= last; word += 8) {
    (words[word] as number) ^= inMemory;
    (words[word + 1] as number) ^= inMemory;
    (words[word + 2] as number) ^= inMemory;
    (words[word + 3] as number) ^= inMemory;
    (words[word + 4] as number) ^= inMemory;
    (words[word + 5] as number) ^= inMemory;
    (words[word + 6] as number) ^= inMemory;
    (words[word + 7] as number) ^= inMemory;
  }
  for (; word < wordEnd; word++) (words[word] as number) ^= inMemory;
  for (at = (wordEnd << 2) - base; at < end; at++) {
    key = (key << 8) | (key >>> 24);
    (bytes[at] as number) ^= key;
  }
}

/**
 * As `applyMask`, from `source[start, end)` into `target` at `offset`; `source` is not written to. The ranges may overlap only if the
 * target's begins at or before the source's. Returns the next phase.
 *
 * Throws RangeError if `target` has no room.
 */
export function copyMasked(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  offset: number,
  maskKey: number,
  phase: number,
): number {
  const size = end - start;
  if (offset + size > target.length) throw new RangeError(`target has no room for ${size} bytes at offset ${offset}`);
  if (size < NATIVE_COPY_FROM) {
    copyBytes(source, start, end, target, offset, rotate(maskKey, phase));
    return (phase + size) & 3;
  }
  // A plain view, since `subarray` of a Node Buffer is three times as slow to make; and none where there is no need, since JavaScriptCore
  // would make a buffer for a small array that has none yet (bench: `echo --runtime bun`, 125 B).
  target.set(size === source.length ? source : new Uint8Array(source.buffer, source.byteOffset + start, size), offset);
  return maskKey === 0 ? (phase + size) & 3 : applyMask(target, offset, offset + size, maskKey, phase);
}

function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, offset: number, key: number): void {
  const k0 = key >>> 24;
  const k1 = key >>> 16;
  const k2 = key >>> 8;
  let from = start;
  let to = offset;
  for (const last = end - 4; from <= last; from += 4) {
    target[to] = (source[from] as number) ^ k0;
    target[to + 1] = (source[from + 1] as number) ^ k1;
    target[to + 2] = (source[from + 2] as number) ^ k2;
    target[to + 3] = (source[from + 3] as number) ^ key;
    to += 4;
  }
  if (from < end) target[to++] = (source[from++] as number) ^ k0;
  if (from < end) target[to++] = (source[from++] as number) ^ k1;
  if (from < end) target[to] = (source[from] as number) ^ k2;
}
