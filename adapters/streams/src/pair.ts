/**
 * A pair of byte streams: as much of `ReadableStream` and `WritableStream` as is used, so that no runtime's types are needed.
 */
export interface ByteReader {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason?: unknown): Promise<void>;
  /** Called where the other stream of the pair turns out to be in use. */
  releaseLock?(): void;
}
export interface ByteWriter {
  readonly closed: Promise<unknown>;
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}

/**
 * What `connect()` of Workers returns, a WebTransport stream, an HTTP/2 stream, one end of two `TransformStream`s, a pipe. Chunks that are
 * read must be bytes: a typed array, a DataView or an ArrayBuffer.
 */
export interface StreamPair {
  readonly readable: { getReader(): ByteReader };
  readonly writable: { getWriter(): ByteWriter };
}
