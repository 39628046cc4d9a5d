/**
 * An HTTP/2 stream as the driver's transport. DATA frames are the byte stream, END_STREAM is the FIN and RST_STREAM with CANCEL the reset of
 * TCP (RFC 8441 section 5).
 *
 * Beware: a stream that its peer resets often says 'end' first. Node's own `close(CANCEL)` sends END_STREAM, and RST_STREAM in a write of its
 * own behind it; so an end that comes without a close frame is believed only when no reset has come for a while.
 */
import type { Http2Session, Http2Stream } from 'node:http2';
import type { DriverHandle, Peer, Transport } from '@ferrywire/driver';
import { deliver, tell } from '@ferrywire/driver/adapter';
import { CANCEL, LINGER, NO_ERROR, reset } from './http2-ends.ts';
import { timers } from './timers.ts';
import type { NodeTransport } from './transport.ts';

/** Milliseconds within which a reset that belongs to an end has come. */
const GRACE = 50;

const owner: unique symbol = Symbol('ferrywire http2 transport');
type Owned = Http2Stream & { [owner]?: Http2Transport };

/** Keeps the process alive for as long as one of a session's streams is to. Not for sessions that are somebody else's. */
export class SessionRefs {
  readonly #session: Http2Session;
  #holders = 0;

  constructor(session: Http2Session) {
    this.#session = session;
  }
  hold(): void {
    if (++this.#holders === 1) this.#session.ref();
  }
  release(): void {
    if (--this.#holders === 0) this.#session.unref();
  }
}

export class Http2Transport implements Transport, NodeTransport {
  readonly socket: Http2Stream;
  readonly incoming = null;
  readonly #refs: SessionRefs | null;
  #holds = false;
  /** Set once it is open. */
  peer: Peer | null = null;
  #driver: DriverHandle | null = null;
  #ended = false;
  /** The end was END_STREAM: one that only a reset has made comes behind 'aborted'. */
  #orderly = false;
  #gone = false;
  /** The grace of an end, or a server's patience. */
  #timer: unknown = null;

  constructor(stream: Http2Stream, refs: SessionRefs | null) {
    this.socket = stream;
    this.#refs = refs;
    this.ref();
  }

  /** From here on the stream's events go to the driver. */
  join(driver: DriverHandle): void {
    this.#driver = driver;
    const stream: Owned = this.socket;
    stream[owner] = this;
    stream.on('error', onError).on('close', onClose).on('drain', onDrain).on('end', onEnd).on('aborted', onAborted);
    // What happened before this was called raises no event any more.
    if (stream.destroyed && stream.closed) setImmediate(lose, this);
    else if (stream.readableEnded) this.ended();
  }
  startReading(): void {
    this.socket.on('data', onData);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const stream = this.socket;
    if (!stream.writable) return true;
    const count = chunks.length;
    if (count === 1) stream.write(chunks[0]);
    else {
      stream.cork();
      for (let index = 0; index < count; index++) stream.write(chunks[index]);
      stream.uncork();
    }
    return stream.writableLength < stream.writableHighWaterMark;
  }
  end(): void {
    const stream = this.socket;
    stream.end();
    const connection = this.peer?.connection;
    if (connection?.role !== 'server' || connection.closeSent === null || connection.closeReceived === null) return;
    // Over TCP a server that closes takes the client's half with it. Some clients of HTTP/2 count on that (RFC 9113 section 8.1).
    stream.once('finish', () => {
      if (!this.#gone && !this.#ended) this.#timer = timers.set(() => this.#letGo(), LINGER);
    });
  }
  abort(): void {
    reset(this.socket, CANCEL);
  }
  pauseReading(): void {
    this.socket.pause();
  }
  resumeReading(): void {
    this.socket.resume();
  }
  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  get remoteAddress(): string | null {
    return this.socket.session?.socket?.remoteAddress ?? null;
  }
  get remotePort(): number | null {
    return this.socket.session?.socket?.remotePort ?? null;
  }
  get encrypted(): boolean {
    return this.socket.session?.encrypted ?? false;
  }
  ref(): void {
    if (this.#refs === null || this.#holds) return;
    this.#holds = true;
    this.#refs.hold();
  }
  unref(): void {
    if (this.#refs === null || !this.#holds) return;
    this.#holds = false;
    this.#refs.release();
  }

  /* ---- the stream's events ---- */

  received(chunk: Uint8Array): void {
    deliver(this.#driver, chunk);
  }
  failed(error: unknown): void {
    tell(this.#driver, (driver) => driver.receiveError(error));
  }
  drained(): void {
    tell(this.#driver, (driver) => driver.drained());
  }
  /** 'end' may be far off, behind what nobody has read; whether END_STREAM has come shows only now. */
  aborted(): void {
    const { _readableState: readable } = this.socket as { readonly _readableState?: { readonly ended?: boolean } };
    this.#orderly ||= readable?.ended === true;
  }
  ended(): void {
    this.#ended = true;
    this.#orderly ||= !this.socket.aborted;
    setImmediate(believeEnd, this);
  }
  /** The turn after 'end': a reset that came in the same read is known by now. */
  believeEnd(): void {
    if (this.#gone) return;
    if (this.#isReset) this.failed(resetError(this.socket));
    else if (this.peer !== null && this.peer.connection.closeReceived === null) {
      this.#timer = timers.set(() => this.#tellEnd(), GRACE);
    } else this.#tellEnd();
  }
  closed(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.unref();
    if (this.#timer !== null) timers.clear(this.#timer);
    // Bun's stream closes without an 'end' while reading is paused, having given all of it. What Deno's has kept then is lost.
    const isWhole = this.#ended || (this.#orderly && this.socket.readableLength === 0);
    if (this.#isReset || !isWhole) this.failed(resetError(this.socket));
    else if (!this.#ended) this.#tellEnd();
    tell(this.#driver, (driver) => driver.gone());
  }

  /** Behind an end, NO_ERROR only asks to be spared the rest of our own half (RFC 9113 section 8.1). */
  get #isReset(): boolean {
    const { aborted, rstCode } = this.socket;
    return (rstCode ?? 0) !== 0 || (aborted && !this.#orderly);
  }
  #letGo(): void {
    if (this.#gone || this.#ended) return;
    this.#ended = true;
    this.#tellEnd();
    reset(this.socket, NO_ERROR);
  }
  #tellEnd(): void {
    tell(this.#driver, (driver) => driver.receiveEof());
  }

  static of(stream: Owned): Http2Transport | undefined {
    return stream[owner];
  }
}

function resetError({ rstCode }: Http2Stream): Error {
  return new Error(rstCode ? `the HTTP/2 stream was reset with code ${rstCode}` : 'the HTTP/2 stream was closed before its end');
}

function believeEnd(transport: Http2Transport): void {
  transport.believeEnd();
}
function lose(transport: Http2Transport): void {
  transport.closed();
}
function onData(this: Http2Stream, chunk: Uint8Array): void {
  Http2Transport.of(this)?.received(chunk);
}
function onEnd(this: Http2Stream): void {
  Http2Transport.of(this)?.ended();
}
function onAborted(this: Http2Stream): void {
  Http2Transport.of(this)?.aborted();
}
function onError(this: Http2Stream, error: unknown): void {
  Http2Transport.of(this)?.failed(error);
}
function onDrain(this: Http2Stream): void {
  Http2Transport.of(this)?.drained();
}
function onClose(this: Http2Stream): void {
  Http2Transport.of(this)?.closed();
}
