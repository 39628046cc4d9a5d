/**
 * Word views over byte buffers, remembered: making one costs as much as masking a hundred bytes, and asking V8 for the buffer of an array as
 * much as masking forty, so the last array is remembered too (bench: `parse`, 125 B).
 *
 * Beware: a remembered view keeps its buffer alive. Only buffers of up to `PIN_LIMIT` bytes are remembered, and one in all, so this
 * pins 256 KiB per process at worst. A remembered view is checked against the length needed, because a resizable buffer may have shrunk under
 * it, and writes past the end of a view vanish without an error.
 */

const PIN_LIMIT = 262_144;

/** Positions from here on do not fit the 32-bit arithmetic of the word loops. */
export const WORDS_UNTIL = 0x7fff_fff0;

export const littleEndian: boolean = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

let array: Uint8Array | null = null;
let buffer: ArrayBufferLike | null = null;
let view: Int32Array = new Int32Array(0);

/** A view of the words of an array's buffer, from the buffer's first byte on: `length` of them, or all that are whole if those are fewer. */
export function wordsOf(bytes: Uint8Array, length: number): Int32Array {
  return bytes === array && view.length >= length ? view : wordsOfBuffer(bytes, length);
}

function wordsOfBuffer(bytes: Uint8Array, length: number): Int32Array {
  const of = bytes.buffer;
  if (of === buffer && view.length >= length) {
    array = bytes;
    return view;
  }
  const made = new Int32Array(of, 0, of.byteLength >>> 2);
  if (of.byteLength <= PIN_LIMIT) {
    array = bytes;
    buffer = of;
    view = made;
  }
  return made;
}
