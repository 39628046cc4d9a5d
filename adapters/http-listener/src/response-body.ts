/**
 * The body of a response as a stream.
 *
 * Beware: a Writable raises 'error' for a write that failed, and an 'error' that nobody listens to ends the process. A client that leaves
 * must not do that, so the stream is destroyed as Node's own ServerResponse is: its writes fail, and who listens is told.
 */
import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { HttpListenerErrorCode, HttpListenerException, InvalidOperationException } from './errors.ts';

type Done = (error?: Error | null) => void;

/** The response that it is the body of. */
export interface BodyOf {
  /** Sends status and headers if they were not. */
  begin(): ServerResponse;
  /** Ends the response. */
  finish(): void;
  /** Drops the connection. */
  drop(): void;
  /** Bytes that the header says, null when it says none. */
  length(): number | null;
}

export class ResponseBody extends Writable {
  readonly #of: BodyOf;
  /** The write that is under way. */
  #writing: Done | null = null;
  #taken = 0;
  /** What was wrong with a write. Node raises it as an 'error' a tick later, and destroys the stream then. */
  #mistake: InvalidOperationException | null = null;

  constructor(of: BodyOf) {
    super();
    this.#of = of;
  }

  /** It takes nothing more, and what it took is not all. */
  get isBroken(): boolean {
    return this.destroyed || this.#mistake !== null;
  }
  /** Bytes that were given to it, written or waiting. */
  get bytesGiven(): number {
    return this.#taken + this.writableLength;
  }

  /** The connection was lost before the end of the body. .NET's stream throws this exception at the write, unless it is told to ignore it. */
  lose(cause?: Error): void {
    // The end of a body that is complete.
    if (this.writableFinished) return;
    const error =
      this.#mistake ??
      new HttpListenerException(HttpListenerErrorCode.OperationAborted, 'the connection was lost before the response was complete', {
        cause,
      });
    if (!this.destroyed) this.on('error', () => {}).destroy(error);
    this.#settle(error);
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    const length = this.#of.length();
    if (length !== null && this.#taken + chunk.length > length) {
      this.#mistake = wrongLength('longer', length);
      done(this.#mistake);
      return;
    }
    this.#writing = done;
    const response = this.#of.begin();
    response.write(chunk, (error) => {
      // Node calls back without an error when it destroys a socket that is writing.
      if (error || response.destroyed || response.socket?.destroyed === true) this.lose(error ?? undefined);
      else {
        // Until here it counts as waiting.
        if (this.#writing !== null) this.#taken += chunk.length;
        this.#settle();
      }
    });
  }
  override _final(done: Done): void {
    const length = this.#of.length();
    if (length !== null && this.#taken < length) {
      done(wrongLength('shorter', length));
      // Nobody can write the rest any more.
      this.#of.drop();
      return;
    }
    this.#of.finish();
    done();
  }

  /** Once: not every runtime calls back a write whose connection is gone, and some do so late. */
  #settle(error?: Error): void {
    const done = this.#writing;
    this.#writing = null;
    done?.(error);
  }
}

/** A client takes bytes beyond the length for the answer to its next request, and the next answer for bytes that are missing. */
export function wrongLength(than: 'longer' | 'shorter', length: number): InvalidOperationException {
  return new InvalidOperationException(`the body is ${than} than its Content-Length of ${length} bytes`);
}
