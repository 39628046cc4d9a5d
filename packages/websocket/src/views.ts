/**
 * Bytes in and out of ArrayBuffers, without copies where the memory is not shared with anything else.
 */

/**
 * A view of the caller's bytes. Memory that is shared or may change its size is refused, as Web IDL does for a BufferSource; of memory that was
 * transferred there are none ("get a copy of the bytes held by the buffer source", step 7).
 */
export function bytesOf(source: ArrayBuffer | ArrayBufferView): Uint8Array {
  const isView = ArrayBuffer.isView(source);
  const buffer = isView ? source.buffer : source;
  if (Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]') {
    throw new TypeError('data must not be backed by a SharedArrayBuffer');
  }
  // Older libraries do not declare it.
  if ((buffer as { readonly resizable?: boolean }).resizable === true) {
    throw new TypeError('data must not be backed by a resizable ArrayBuffer');
  }
  if (buffer.byteLength === 0) return new Uint8Array(0);
  return isView ? new Uint8Array(buffer, source.byteOffset, source.byteLength) : new Uint8Array(buffer);
}

export function isTransferred(source: ArrayBuffer | ArrayBufferView): boolean {
  try {
    // Node 20 has no other way to ask.
    new Uint8Array(ArrayBuffer.isView(source) ? source.buffer : source);
    return false;
  } catch {
    return true;
  }
}

/** The message as an ArrayBuffer of its own. */
export function bufferOf(data: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = data;
  if (byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) return buffer;
  return data.slice().buffer as ArrayBuffer;
}
