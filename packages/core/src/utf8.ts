/**
 * UTF-8 (RFC 3629; RFC 6455 section 8.1): an incremental validator that fails on the first byte that cannot be UTF-8, and decoding.
 *
 * Fail-fast means more than "incremental": ED A0 is refused at the A0, F4 90 at the 90, E0 80 at the 80, F5 at once, without waiting for
 * the rest of the sequence. Beware: `TextDecoder` eats a leading BOM unless told not to, and replaces lone surrogates when encoding.
 */
import { createTextDecoder, textEncoder } from './platform.ts';
import { WORDS_UNTIL, wordsOf } from './views.ts';

/** Below this many bytes left, a view over words does not pay. */
const WORDS_FROM = 32;

/** The high bit of each of four bytes, in either byte order. */
const HIGH_BITS = 0x80808080 | 0;

/** Incremental, fail-fast: knows the first bad byte without waiting for the message's end. */
export class Utf8Validator {
  /** Continuation bytes still missing of the sequence under way. */
  #missing = 0;
  /** Bounds of the next byte: narrower than 80..BF right after E0, ED, F0 and F4. */
  #low = 0x80;
  #high = 0xbf;
  #failed = false;

  /**
   * Looks at `bytes[start, end)`, the continuation of what was pushed before. Returns -1 when all is valid so far, else the index in
   * `bytes` of the first byte that cannot be UTF-8. From then on every push with at least one byte returns its `start`, until `reset()`.
   */
  push(bytes: Uint8Array, start: number, end: number): number {
    if (start >= end) return -1;
    if (this.#failed) return start;
    let at = start;
    if (this.#missing !== 0) {
      at = this.#continue(bytes, at, end);
      if (at < 0) return this.#fail(~at);
    }
    at = scan(bytes, at, end);
    if (at === end) return -1;
    // A sequence that is cut off by the end of the input, or is not one.
    const lead = bytes[at] as number;
    if (lead < 0xc2 || lead > 0xf4) return this.#fail(at);
    this.#missing = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    this.#low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    this.#high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    at = this.#continue(bytes, at + 1, end);
    return at < 0 ? this.#fail(~at) : -1;
  }

  /** True when no sequence is left half-way and nothing was refused. */
  end(): boolean {
    return this.#missing === 0 && !this.#failed;
  }

  /** Ready for another text. */
  reset(): void {
    this.#missing = 0;
    this.#failed = false;
  }

  #fail(index: number): number {
    this.#failed = true;
    return index;
  }

  /** Returns the index after the continuation bytes taken, or the complement of the index of a bad one. */
  #continue(bytes: Uint8Array, at: number, end: number): number {
    while (this.#missing > 0 && at < end) {
      const byte = bytes[at] as number;
      if (byte < this.#low || byte > this.#high) return ~at;
      this.#low = 0x80;
      this.#high = 0xbf;
      this.#missing--;
      at++;
    }
    return at;
  }
}

/** Passes over whole valid sequences. Returns `end`, or the index of the lead byte of a sequence that is cut off or bad. */
function scan(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const lead = bytes[at] as number;
    if (lead < 0x80) {
      at = skipAscii(bytes, at + 1, end);
    } else if (lead < 0xe0) {
      if (lead < 0xc2 || end - at < 2 || ((bytes[at + 1] as number) & 0xc0) !== 0x80) return at;
      at += 2;
    } else if (lead < 0xf0) {
      if (end - at < 3) return at;
      const second = bytes[at + 1] as number;
      if ((second & 0xc0) !== 0x80 || ((bytes[at + 2] as number) & 0xc0) !== 0x80) return at;
      if (lead === 0xe0 ? second < 0xa0 : lead === 0xed && second > 0x9f) return at;
      at += 3;
    } else {
      if (lead > 0xf4 || end - at < 4) return at;
      const second = bytes[at + 1] as number;
      if ((second & 0xc0) !== 0x80 || ((bytes[at + 2] as number) & 0xc0) !== 0x80 || ((bytes[at + 3] as number) & 0xc0) !== 0x80) return at;
      if (lead === 0xf0 ? second < 0x90 : lead === 0xf4 && second > 0x8f) return at;
      at += 4;
    }
  }
  return end;
}

/** Returns the index of the first byte at or after `at` that is not ASCII, or `end`. */
function skipAscii(bytes: Uint8Array, at: number, end: number): number {
  // Text with other letters in it seldom has long ASCII runs: try a few single bytes before anything heavier.
  for (const near = at + 8 < end ? at + 8 : end; at < near; at++) if ((bytes[at] as number) >= 0x80) return at;
  const base = bytes.byteOffset;
  if (end - at >= WORDS_FROM && base + end <= WORDS_UNTIL) {
    while (((base + at) & 3) !== 0) {
      if ((bytes[at] as number) >= 0x80) return at;
      at++;
    }
    const wordEnd = (base + end) >> 2;
    const words = wordsOf(bytes, wordEnd);
    let word = (base + at) >> 2;
    for (const last = wordEnd - 4; word <= last; word += 4) {
      const all = (words[word] as number) | (words[word + 1] as number) | (words[word + 2] as number) | (words[word + 3] as number);
      if ((all & HIGH_BITS) !== 0) break;
    }
    at = (word << 2) - base;
  }
  while (at < end && (bytes[at] as number) < 0x80) at++;
  return at;
}

/**
 * How many bytes (0 to 3) at the end of valid UTF-8 belong to a sequence whose rest has not arrived. Text up to there is whole code points
 * and can be delivered.
 */
export function incompleteTail(bytes: Uint8Array, start: number, end: number): number {
  for (let back = 1; back <= 3 && end - back >= start; back++) {
    const byte = bytes[end - back] as number;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4) ? back : 0;
  }
  return 0;
}

/** Up to here characters are put together one by one: a native decoder costs more than that to call. */
const SHORT_TEXT = 24;

const decoder = createTextDecoder();

/** The text of `bytes[start, end)`, or null if it is not valid UTF-8. A BOM is kept. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | null {
  if (end - start <= SHORT_TEXT) {
    const text = decodeShortAscii(bytes, start, end);
    if (text !== null) return text;
  }
  try {
    // A plain view: `subarray` of a Node Buffer is three times as slow to make.
    return decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  } catch {
    return null;
  }
}

function decodeShortAscii(bytes: Uint8Array, start: number, end: number): string | null {
  let text = '';
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    const a = bytes[at] as number;
    const b = bytes[at + 1] as number;
    const c = bytes[at + 2] as number;
    const d = bytes[at + 3] as number;
    const e = bytes[at + 4] as number;
    const f = bytes[at + 5] as number;
    const g = bytes[at + 6] as number;
    const h = bytes[at + 7] as number;
    if ((a | b | c | d | e | f | g | h) >= 0x80) return null;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x80) return null;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The size in bytes of `text` as UTF-8. A lone surrogate counts 3: it is written as U+FFFD. */
export function utf8Length(text: string): number {
  let size = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    size += unit < 0x800 ? 1 : 2;
    if ((unit & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) at++;
  }
  return size;
}

/** `text` as UTF-8 in new memory. */
export function encodeUtf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}
