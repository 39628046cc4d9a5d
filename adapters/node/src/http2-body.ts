/**
 * The body of a refusal over HTTP/2, written as its peer takes it: a little at a time, the next when the last has gone out. What the peer takes
 * shows only so; a large piece says nothing before all of it is gone.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { INTERNAL_ERROR, reset } from './http2-ends.ts';

/** Bytes of one write: a DATA frame. */
const STEP = 16_384;

interface Piece {
  readonly bytes: Uint8Array;
  /** When it came: its buffer may be transferred or resized. */
  readonly size: number;
}

export class RefusalBody {
  readonly #stream: ServerHttp2Stream;
  readonly #onTaken: () => void;
  #pieces: Piece[] = [];
  /** Bytes of the first piece that have been written. */
  #written = 0;
  #isWriting = false;
  #isEnding = false;

  /** @param onTaken The peer has taken something. */
  constructor(stream: ServerHttp2Stream, onTaken: () => void) {
    this.#stream = stream;
    this.#onTaken = onTaken;
  }

  /** Has the peer taken all that there is? */
  get isAllTaken(): boolean {
    return !this.#isWriting;
  }
  /** Held by reference until taken; if the buffer is transferred before, or resized so that the chunk has another length, the stream is reset. */
  write(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#pieces.push({ bytes: chunk, size: chunk.length });
    this.#next();
  }
  end(last: Uint8Array): void {
    this.#isEnding = true;
    this.write(last);
  }
  /** The stream has closed. */
  drop(): void {
    this.#pieces = [];
  }

  #next(): void {
    if (this.#isWriting) return;
    const [piece] = this.#pieces;
    if (piece === undefined) {
      if (this.#isEnding) this.#stream.end();
      return;
    }
    const { bytes, size } = piece;
    if (bytes.length !== size) {
      this.drop();
      reset(this.#stream, INTERNAL_ERROR);
      return;
    }
    // A copy: Node writes from memory that may be given back to the system when a buffer shrinks.
    const step = new Uint8Array(bytes.subarray(this.#written, this.#written + STEP));
    this.#written += step.length;
    if (this.#written === size) {
      this.#pieces.shift();
      this.#written = 0;
    }
    this.#send(step);
  }

  #send(step: Uint8Array): void {
    if (this.#isEnding && this.#pieces.length === 0) {
      this.#stream.end(step);
      return;
    }
    this.#isWriting = true;
    this.#stream.write(step, (error) => {
      this.#isWriting = false;
      if (error) return;
      this.#onTaken();
      this.#next();
    });
  }
}
