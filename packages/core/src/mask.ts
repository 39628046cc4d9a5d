/**
 * Masking (RFC 6455 section 5.3), in place or while copying. Masking and unmasking are the same operation.
 *
 * Short payloads are done byte by byte: making or looking up a view costs more than it saves. Longer ones are done 32 bits at a time
 * through an `Int32Array` over the same memory, with the bytes before the first aligned word done singly and the key rotated to match.
 * Beware: 64-bit lanes (`BigUint64Array`) are faster still on V8 and a hundred times slower on JavaScriptCore, so they are left to an
 * adapter's kernel; and a word's key depends on the byte order of the machine, which is looked up once.
 */
import { littleEndian, otherWordsOf, WORDS_UNTIL, wordsOf } from './views.ts';

/** Below this many bytes the byte loop wins (measured: `npm run bench -- mask`). */
const WORDS_FROM = 32;

/** The key as a word in memory order, for a word whose first byte is masked with key byte `phase`. */
function wordKey(maskKey: number, phase: number): number {
  const shift = phase << 3;
  const rotated = shift === 0 ? maskKey | 0 : (maskKey << shift) | (maskKey >>> (32 - shift));
  if (!littleEndian) return rotated;
  return (rotated << 24) | ((rotated & 0xff00) << 8) | ((rotated >>> 8) & 0xff00) | (rotated >>> 24);
}

/**
 * XORs `bytes[start, end)` in place with the big-endian `maskKey`, from key byte `phase` (0..3) on. Returns the next phase, so a frame can
 * be unmasked in pieces. Takes Node's Buffers as they are, pooled ones included.
 */
export function applyMask(bytes: Uint8Array, start: number, end: number, maskKey: number, phase: number): number {
  const base = bytes.byteOffset;
  if (end - start < WORDS_FROM || base + end > WORDS_UNTIL) return maskBytes(bytes, start, end, maskKey, phase);
  const next = (phase + end - start) & 3;
  if (maskKey === 0) return next;
  const prologue = -(base + start) & 3;
  let at = start;
  if (prologue !== 0) {
    phase = maskBytes(bytes, start, start + prologue, maskKey, phase);
    at += prologue;
  }
  const wordEnd = (base + end) >> 2;
  const words = wordsOf(bytes.buffer, wordEnd);
  const key = wordKey(maskKey, phase);
  let word = (base + at) >> 2;
  for (const last = wordEnd - 8; word <= last; word += 8) {
    // In bounds: words() covers wordEnd. The compiler can't know, hence the casts.
    (words[word] as number) ^= key;
    (words[word + 1] as number) ^= key;
    (words[word + 2] as number) ^= key;
    (words[word + 3] as number) ^= key;
    (words[word + 4] as number) ^= key;
    (words[word + 5] as number) ^= key;
    (words[word + 6] as number) ^= key;
    (words[word + 7] as number) ^= key;
  }
  for (; word < wordEnd; word++) (words[word] as number) ^= key;
  maskBytes(bytes, (wordEnd << 2) - base, end, maskKey, phase);
  return next;
}

function maskBytes(bytes: Uint8Array, start: number, end: number, maskKey: number, phase: number): number {
  const shift = phase << 3;
  const key = shift === 0 ? maskKey : (maskKey << shift) | (maskKey >>> (32 - shift));
  const k0 = key >>> 24;
  const k1 = (key >>> 16) & 0xff;
  const k2 = (key >>> 8) & 0xff;
  const k3 = key & 0xff;
  let at = start;
  for (const last = end - 4; at <= last; at += 4) {
    (bytes[at] as number) ^= k0;
    (bytes[at + 1] as number) ^= k1;
    (bytes[at + 2] as number) ^= k2;
    (bytes[at + 3] as number) ^= k3;
  }
  if (at < end) (bytes[at++] as number) ^= k0;
  if (at < end) (bytes[at++] as number) ^= k1;
  if (at < end) (bytes[at] as number) ^= k2;
  return (phase + end - start) & 3;
}

/**
 * As `applyMask`, from `source[start, end)` into `target` at `offset`: masking and copying are one pass, and `source` is not written to.
 * The ranges may overlap only if the target's begins at or before the source's. Returns the next phase.
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
  const sourceBase = source.byteOffset;
  const targetBase = target.byteOffset;
  if (size < WORDS_FROM || sourceBase + end > WORDS_UNTIL || targetBase + offset + size > WORDS_UNTIL) {
    return copyBytes(source, start, end, target, offset, maskKey, phase);
  }
  const prologue = -(targetBase + offset) & 3;
  let from = start;
  if (prologue !== 0) {
    phase = copyBytes(source, start, start + prologue, target, offset, maskKey, phase);
    from += prologue;
  }
  const to = (targetBase + offset + prologue) >> 2;
  const count = (size - prologue) >> 2;
  const key = wordKey(maskKey, phase);
  const skew = (sourceBase + from) & 3;
  if (skew !== 0 && !littleEndian) return copyBytes(source, from, end, target, offset + prologue, maskKey, phase);
  const first = (sourceBase + from) >> 2;
  const into = wordsOf(target.buffer, to + count);
  if (skew === 0) copyWords(otherWordsOf(source.buffer, first + count), first, into, to, count, key);
  else if (count > 1) {
    copySkewedWords(otherWordsOf(source.buffer, first + count), first, into, to, count - 1, key, skew << 3);
  }
  const done = (skew === 0 ? count : count - 1) << 2;
  return copyBytes(source, from + done, end, target, offset + prologue + done, maskKey, phase);
}

function copyWords(source: Int32Array, from: number, target: Int32Array, to: number, count: number, key: number): void {
  const end = from + count;
  const shift = to - from;
  for (const last = end - 8; from <= last; from += 8) {
    const at = from + shift;
    target[at] = (source[from] as number) ^ key;
    target[at + 1] = (source[from + 1] as number) ^ key;
    target[at + 2] = (source[from + 2] as number) ^ key;
    target[at + 3] = (source[from + 3] as number) ^ key;
    target[at + 4] = (source[from + 4] as number) ^ key;
    target[at + 5] = (source[from + 5] as number) ^ key;
    target[at + 6] = (source[from + 6] as number) ^ key;
    target[at + 7] = (source[from + 7] as number) ^ key;
  }
  for (; from < end; from++) target[from + shift] = (source[from] as number) ^ key;
}

/** Each target word is put together from two source words. Reads `count + 1` words. Little-endian only. */
function copySkewedWords(
  source: Int32Array,
  from: number,
  target: Int32Array,
  to: number,
  count: number,
  key: number,
  right: number,
): void {
  const left = 32 - right;
  const end = to + count;
  let low = source[from++] as number;
  for (const last = end - 4; to <= last; to += 4) {
    const a = source[from] as number;
    const b = source[from + 1] as number;
    const c = source[from + 2] as number;
    const d = source[from + 3] as number;
    target[to] = ((low >>> right) | (a << left)) ^ key;
    target[to + 1] = ((a >>> right) | (b << left)) ^ key;
    target[to + 2] = ((b >>> right) | (c << left)) ^ key;
    target[to + 3] = ((c >>> right) | (d << left)) ^ key;
    low = d;
    from += 4;
  }
  for (; to < end; to++) {
    const high = source[from++] as number;
    target[to] = ((low >>> right) | (high << left)) ^ key;
    low = high;
  }
}

function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  offset: number,
  maskKey: number,
  phase: number,
): number {
  const shift = phase << 3;
  const key = shift === 0 ? maskKey : (maskKey << shift) | (maskKey >>> (32 - shift));
  const k0 = key >>> 24;
  const k1 = (key >>> 16) & 0xff;
  const k2 = (key >>> 8) & 0xff;
  const k3 = key & 0xff;
  let from = start;
  let to = offset;
  for (const last = end - 4; from <= last; from += 4) {
    target[to] = (source[from] as number) ^ k0;
    target[to + 1] = (source[from + 1] as number) ^ k1;
    target[to + 2] = (source[from + 2] as number) ^ k2;
    target[to + 3] = (source[from + 3] as number) ^ k3;
    to += 4;
  }
  if (from < end) target[to++] = (source[from++] as number) ^ k0;
  if (from < end) target[to++] = (source[from++] as number) ^ k1;
  if (from < end) target[to] = (source[from] as number) ^ k2;
  return (phase + end - start) & 3;
}
