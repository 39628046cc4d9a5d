/**
 * Word views over byte buffers, remembered per `ArrayBuffer`: making one costs as much as masking a hundred bytes.
 *
 * Beware: a remembered view keeps its buffer alive. Only buffers of up to `PIN_LIMIT` bytes are remembered, and one in all, so this
 * pins 256 KiB per process at worst. A remembered view is checked against the length needed, because a resizable buffer may have shrunk under
 * it, and writes past the end of a view vanish without an error.
 */

const PIN_LIMIT = 262_144;

/** Positions from here on do not fit the 32-bit arithmetic of the word loops. */
export const WORDS_UNTIL = 0x7fff_fff0;

export const littleEndian: boolean = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

let buffer: ArrayBufferLike | null = null;
let view: Int32Array = new Int32Array(0);

/** A view of at least `length` words from the buffer's first byte on. */
export function wordsOf(of: ArrayBufferLike, length: number): Int32Array {
  if (of === buffer && view.length >= length) return view;
  const made = new Int32Array(of, 0, of.byteLength >>> 2);
  if (of.byteLength <= PIN_LIMIT) {
    buffer = of;
    view = made;
  }
  return made;
}
