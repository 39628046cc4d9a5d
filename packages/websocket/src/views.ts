/**
 * Bytes in and out of ArrayBuffers, without copies where the memory is not shared with anything else.
 */

/** A view of the caller's bytes. Memory that is shared or may change its size is refused, as Web IDL does for a BufferSource. */
export function bytesOf(buffer: ArrayBufferLike, offset: number, length: number): Uint8Array {
  if (Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]') {
    throw new TypeError('data must not be backed by a SharedArrayBuffer');
  }
  // Older libraries do not declare it.
  if ((buffer as { readonly resizable?: boolean }).resizable === true) {
    throw new TypeError('data must not be backed by a resizable ArrayBuffer');
  }
  return new Uint8Array(buffer, offset, length);
}

/** The message as an ArrayBuffer of its own. */
export function bufferOf(data: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = data;
  if (byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) return buffer;
  return data.slice().buffer as ArrayBuffer;
}
