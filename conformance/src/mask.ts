/**
 * The harness's own masking (RFC 6455 section 5.3), apart from the core's: XOR is its own inverse, so a fault shared by both sides would
 * cancel out.
 */

/** Below this many bytes, views cost more than they save. */
const worthWords = 1024;

/** Writes `source` into `target` at `offset`, XORed with the four bytes of `key` from its first. */
export function maskInto(source: Uint8Array, target: Uint8Array, offset: number, key: number): void {
  const at = target.byteOffset + offset;
  let from = 0;
  if (source.length >= worthWords && source.byteOffset % 4 === 0 && at % 4 === 0) {
    const words = source.length >>> 2;
    maskWords(new Uint32Array(source.buffer, source.byteOffset, words), new Uint32Array(target.buffer, at, words), key);
    from = words * 4;
  }
  maskBytes(source, from, target, offset, key);
}

function maskBytes(source: Uint8Array, from: number, target: Uint8Array, offset: number, key: number): void {
  const k0 = key >>> 24;
  const k1 = (key >>> 16) & 0xff;
  const k2 = (key >>> 8) & 0xff;
  const k3 = key & 0xff;
  const whole = source.length - (source.length % 4);
  let at = offset + from;
  for (let i = from; i < whole; i += 4) {
    target[at] = (source[i] as number) ^ k0; // i + 3 < whole
    target[at + 1] = (source[i + 1] as number) ^ k1;
    target[at + 2] = (source[i + 2] as number) ^ k2;
    target[at + 3] = (source[i + 3] as number) ^ k3;
    at += 4;
  }
  for (let i = whole; i < source.length; i += 1) target[at++] = (source[i] as number) ^ ((key >>> (24 - 8 * (i & 3))) & 0xff);
}

const keyBytes = new Uint8Array(4);
const keyWord = new Uint32Array(keyBytes.buffer);

/** Whole words, in the machine's byte order. */
function maskWords(source: Uint32Array, target: Uint32Array, key: number): void {
  new DataView(keyBytes.buffer).setUint32(0, key);
  const word = keyWord[0] as number; // it has one
  for (let i = 0; i < source.length; i += 1) target[i] = (source[i] as number) ^ word; // i < length
}
