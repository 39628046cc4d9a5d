/**
 * Bytes in and out of ArrayBuffers, without copies where the memory is not shared with anything else.
 */

/** A view of the caller's bytes. A SharedArrayBuffer is refused, as Web IDL does for a BufferSource. */
export function bytesOf(buffer: ArrayBufferLike, offset: number, length: number): Uint8Array {
  if (Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]') {
    throw new TypeError('data must not be backed by a SharedArrayBuffer');
  }
  return new Uint8Array(buffer, offset, length);
}

/** The message as an ArrayBuffer of its own. */
export function bufferOf(data: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = data;
  if (byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) return buffer;
  return data.slice().buffer as ArrayBuffer;
}
