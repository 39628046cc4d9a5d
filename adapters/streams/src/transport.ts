/**
 * A pair of byte streams as the driver's transport.
 *
 * Back pressure is the streams' own: nothing is read that the connection does not want, so the source is not pulled; and the next write
 * waits until the sink has taken the last one.
 */
import { type AsyncBytes, AsyncTransport } from '@ferrywire/driver/adapter';
import type { ByteReader, ByteWriter, StreamPair } from './pair.ts';

type Read = { readonly done: boolean; readonly value?: unknown };

class PairBytes implements AsyncBytes<Read> {
  readonly reader: ByteReader;
  readonly writer: ByteWriter;

  constructor(reader: ByteReader, writer: ByteWriter) {
    this.reader = reader;
    this.writer = writer;
  }

  read(): Promise<Read> {
    return this.reader.read();
  }
  chunkOf({ done, value }: Read): Uint8Array | null {
    return done ? null : bytesOf(value);
  }
  async write(bytes: Uint8Array): Promise<number> {
    await this.writer.write(bytes);
    return bytes.length;
  }
  end(): Promise<void> {
    return this.writer.close();
  }
  close(): void {
    const reason = new Error('the WebSocket connection is over');
    // Both may have ended already, in order or not; the transport has reported that.
    this.writer.abort(reason).catch(ignore);
    // A sink hears of it after the write that is under way; the source does at once.
    this.reader.cancel(reason).catch(ignore);
  }
}

function ignore(): void {}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  // Of any realm.
  if (Object.prototype.toString.call(value) === '[object ArrayBuffer]') return new Uint8Array(value as ArrayBuffer);
  throw new TypeError(`pair.readable delivered a chunk that is no bytes: ${typeof value}`);
}

export class StreamTransport extends AsyncTransport<PairBytes> {
  constructor(reader: ByteReader, writer: ByteWriter) {
    super(new PairBytes(reader, writer));
    // The sink may break while nothing is written.
    writer.closed.catch((error: unknown) => this.fail(error));
  }
}

/** Locks both streams, or none: throws TypeError for what is no pair, or one that somebody else reads or writes. */
export function transportOver(pair: StreamPair): StreamTransport {
  const { readable, writable } = (pair ?? {}) as Partial<StreamPair>;
  if (typeof readable?.getReader !== 'function') throw new TypeError('pair.readable must be a ReadableStream');
  if (typeof writable?.getWriter !== 'function') throw new TypeError('pair.writable must be a WritableStream');
  const reader = readable.getReader();
  let writer: ByteWriter;
  try {
    writer = writable.getWriter();
  } catch (locked) {
    reader.releaseLock?.();
    throw locked;
  }
  return new StreamTransport(reader, writer);
}
