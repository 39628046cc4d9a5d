/**
 * The harness's own UTF-8 check (RFC 3629 section 4, as RFC 6455 section 8.1 demands it of text). Written from the table of well-formed
 * sequences and apart from the core's automaton, so that a fault there can't hide here.
 */

/** The index of the first byte that can't be part of UTF-8, `bytes.length` when a sequence is cut off at the end, or -1 when all is valid. */
export function firstInvalidUtf8(bytes: Uint8Array): number {
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i] as number; // i < length
    let extra = 0;
    let low = 0x80;
    let high = 0xbf;
    if (lead < 0x80) {
      i = endOfAscii(bytes, i + 1);
      continue;
    }
    if (lead >= 0xc2 && lead <= 0xdf) extra = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      extra = 2;
      if (lead === 0xe0) low = 0xa0;
      if (lead === 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      extra = 3;
      if (lead === 0xf0) low = 0x90;
      if (lead === 0xf4) high = 0x8f;
    } else return i;
    for (let k = 1; k <= extra; k += 1) {
      if (i + k >= bytes.length) return bytes.length;
      const next = bytes[i + k] as number; // i + k < length
      if (next < low || next > high) return i + k;
      low = 0x80;
      high = 0xbf;
    }
    i += extra + 1;
  }
  return -1;
}

/** The index of the next byte from 0x80 on, or the length; in words where the memory allows it. */
function endOfAscii(bytes: Uint8Array, start: number): number {
  let i = start;
  while (i < bytes.length && (bytes.byteOffset + i) % 4 !== 0) {
    if ((bytes[i] as number) >= 0x80) return i; // i < length
    i += 1;
  }
  const words = (bytes.length - i) >>> 2;
  if (words > 16) {
    const view = new Int32Array(bytes.buffer, bytes.byteOffset + i, words);
    let word = 0;
    const fours = words - (words % 4);
    // In bounds: word + 3 < fours <= words.
    while (word < fours) {
      const bits = (view[word] as number) | (view[word + 1] as number) | (view[word + 2] as number) | (view[word + 3] as number);
      if ((bits & 0x80808080) !== 0) break;
      word += 4;
    }
    i += word * 4;
  }
  while (i < bytes.length && (bytes[i] as number) < 0x80) i += 1;
  return i;
}

export function isValidUtf8(bytes: Uint8Array): boolean {
  return firstInvalidUtf8(bytes) === -1;
}
