/**
 * The body of a response as a stream.
 *
 * Beware: a Writable raises 'error' for a write that failed, and an 'error' that nobody listens to ends the process. A client that leaves
 * must not do that, so the stream is destroyed as Node's own ServerResponse is: its writes fail, and who listens is told.
 */
import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { HttpListenerErrorCode, HttpListenerException } from './errors.ts';

type Done = (error?: Error | null) => void;

export class ResponseBody extends Writable {
  readonly #begin: () => ServerResponse;
  readonly #finish: () => void;
  /** The write that is under way. */
  #writing: Done | null = null;

  /** `begin` sends status and headers if they were not, `finish` ends the response. */
  constructor(begin: () => ServerResponse, finish: () => void) {
    super();
    this.#begin = begin;
    this.#finish = finish;
  }

  /** The connection was lost before the end of the body. .NET's stream throws this exception at the write, unless it is told to ignore it. */
  lose(cause?: Error): void {
    // The end of a body that is complete.
    if (this.writableFinished) return;
    const error = new HttpListenerException(
      HttpListenerErrorCode.OperationAborted,
      'the connection was lost before the response was complete',
      { cause },
    );
    if (!this.destroyed) this.on('error', () => {}).destroy(error);
    this.#settle(error);
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#writing = done;
    const response = this.#begin();
    response.write(chunk, (error) => {
      // Node calls back without an error when it destroys a socket that is writing.
      if (error || response.destroyed || response.socket?.destroyed === true) this.lose(error ?? undefined);
      else this.#settle();
    });
  }
  override _final(done: Done): void {
    this.#finish();
    done();
  }

  /** Once: not every runtime calls back a write whose connection is gone, and some do so late. */
  #settle(error?: Error): void {
    const done = this.#writing;
    this.#writing = null;
    done?.(error);
  }
}
