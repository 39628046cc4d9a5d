/**
 * The harness's own masking (RFC 6455 section 5.3), apart from the core's: XOR is its own inverse, so a fault shared by both sides would
 * cancel out.
 */

/** Below this many bytes, views cost more than they save. */
const worthWords = 128;

/** Writes `source` into `target` at `offset`, XORed with the four bytes of `key` from its first. */
export function maskInto(source: Uint8Array, target: Uint8Array, offset: number, key: number): void {
  if (source.length < worthWords) maskBytes(source, 0, source.length, target, offset, key);
  else maskWords(source, target, offset, key);
}

/** The bytes of `source` from `from`, a multiple of four, up to `to`. */
function maskBytes(source: Uint8Array, from: number, to: number, target: Uint8Array, offset: number, key: number): void {
  const k0 = key >>> 24;
  const k1 = (key >>> 16) & 0xff;
  const k2 = (key >>> 8) & 0xff;
  const k3 = key & 0xff;
  const whole = to - ((to - from) % 4);
  let at = offset + from;
  for (let i = from; i < whole; i += 4) {
    target[at] = (source[i] as number) ^ k0; // i + 3 < to
    target[at + 1] = (source[i + 1] as number) ^ k1;
    target[at + 2] = (source[i + 2] as number) ^ k2;
    target[at + 3] = (source[i + 3] as number) ^ k3;
    at += 4;
  }
  for (let i = whole; i < to; i += 1) target[at++] = (source[i] as number) ^ ((key >>> (24 - 8 * (i & 3))) & 0xff);
}

const keyBytes = new Uint8Array(4);
// Signed: a word of 2^31 or more would be no small integer to the engine.
const keyWord = new Int32Array(keyBytes.buffer);

/** A copy, then whole words of it in place, in the machine's byte order; the few bytes around them singly. */
function maskWords(source: Uint8Array, target: Uint8Array, offset: number, key: number): void {
  const start = target.byteOffset + offset;
  const before = -start & 3;
  const count = (source.length - before) >>> 2;
  target.set(source, offset);
  // What the words are masked with is the key as seen from the first of them.
  const shift = 8 * before;
  new DataView(keyBytes.buffer).setUint32(0, shift === 0 ? key : (key << shift) | (key >>> (32 - shift)));
  const word = keyWord[0] as number; // it has one
  const words = new Int32Array(target.buffer, start + before, count);
  let i = 0;
  for (; i + 3 < count; i += 4) {
    (words[i] as number) ^= word; // i + 3 < count
    (words[i + 1] as number) ^= word;
    (words[i + 2] as number) ^= word;
    (words[i + 3] as number) ^= word;
  }
  for (; i < count; i += 1) (words[i] as number) ^= word; // i < count
  maskBytes(source, 0, before, target, offset, key);
  const rest = before + count * 4;
  for (let k = rest; k < source.length; k += 1) target[offset + k] = (source[k] as number) ^ ((key >>> (24 - 8 * (k & 3))) & 0xff);
}
