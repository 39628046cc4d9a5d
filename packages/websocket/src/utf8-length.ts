/**
 * Bytes a string takes as UTF-8 when lone surrogates become U+FFFD (WHATWG Encoding, "UTF-8 encode"), without encoding it: bufferedAmount has
 * to know it at once.
 */
export function utf8Length(text: string): number {
  let size = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      size += 1;
      continue;
    }
    // A pair is 4 bytes for two units, so +2 in all; anything else here, a lone surrogate included, is 3 for one.
    size += 2;
    if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(index + 1);
      if (next >= 0xdc00 && next < 0xe000) index += 1;
    }
  }
  return size;
}
