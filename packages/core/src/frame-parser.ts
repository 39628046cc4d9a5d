/**
 * Whole frames from arbitrary chunks (RFC 6455 section 5.2), for tools and tests that want to see what is on a wire, legal or not.
 *
 * Nothing is judged but size: a frame larger than `maxFrameSize` stops the parser. Memory grows with what has arrived, never with what a
 * header declares.
 */
import type { FrameHeader } from './frame.ts';
import { createFrameHeader, decodeFrameHeader, MAX_HEADER_SIZE } from './frame.ts';
import { copyMasked } from './mask.ts';
import type { Violation } from './violations.ts';
import { violations } from './violations.ts';

export interface ParsedFrame {
  readonly header: Readonly<FrameHeader>;
  /** Unmasked, and yours to keep: never a view of a chunk. */
  readonly payload: Uint8Array;
}

const DEFAULT_MAX_FRAME_SIZE = 67_108_864;
const FIRST_CAPACITY = 1024;

/** See the file header. Not for the hot path: every frame is an object with its own memory. */
export class FrameParser {
  readonly #maxFrameSize: number;
  readonly #head: Uint8Array = new Uint8Array(MAX_HEADER_SIZE);
  #headSize = 0;
  /** The frame whose payload is incomplete. */
  #header: FrameHeader | null = null;
  #payload: Uint8Array = new Uint8Array(0);
  #received = 0;
  #phase = 0;
  #violation: Violation | null = null;

  /** `maxFrameSize`: bytes of payload per frame, default 64 MiB. Throws RangeError if it is not a number of 0 or more. */
  constructor(options?: { maxFrameSize?: number }) {
    const max = options?.maxFrameSize ?? DEFAULT_MAX_FRAME_SIZE;
    if (!(max >= 0)) throw new RangeError(`options.maxFrameSize must be 0 or more, not ${max}`);
    this.#maxFrameSize = max;
  }

  /**
   * Takes a chunk, which is neither kept nor written to, and returns the frames it completes. All parsing is done when it returns, whether
   * the result is iterated or not. Never throws for what the bytes say: see `violation`.
   */
  push(chunk: Uint8Array): Iterable<ParsedFrame> {
    const frames: ParsedFrame[] = [];
    let at = 0;
    while (this.#violation === null) {
      if (this.#header === null) {
        at = this.#takeHeader(chunk, at);
        if (this.#header === null) break;
      }
      at = this.#takePayload(chunk, at, this.#header);
      if (this.#received < this.#header.payloadLength) break;
      frames.push({ header: this.#header, payload: this.#finish() });
      this.#header = null;
    }
    return frames;
  }

  /**
   * Why the parser has stopped, or null: `WS_MESSAGE_TOO_BIG` for a payload over `maxFrameSize` or of 2^53 bytes and more,
   * `WS_LENGTH_TOO_LARGE` for 2^63 and more. All further input is dropped.
   */
  get violation(): Violation | null {
    return this.#violation;
  }

  /** True while part of a frame is held: input that ends here was cut off. */
  get incomplete(): boolean {
    return this.#headSize > 0 || this.#header !== null;
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const header = createFrameHeader();
    const held = this.#headSize;
    const taken = Math.min(MAX_HEADER_SIZE - held, chunk.length - at);
    this.#head.set(chunk.subarray(at, at + taken), held);
    const size = decodeFrameHeader(this.#head, 0, held + taken, header);
    if (header.lengthMsb === true) this.#violation = violations.WS_LENGTH_TOO_LARGE;
    else if (header.payloadLength > this.#maxFrameSize || header.payloadLength > Number.MAX_SAFE_INTEGER) {
      this.#violation = violations.WS_MESSAGE_TOO_BIG;
    }
    if (size === 0 || this.#violation !== null) {
      this.#headSize = held + taken;
      return at + taken;
    }
    this.#headSize = 0;
    this.#header = header;
    this.#received = 0;
    this.#phase = 0;
    return at + size - held;
  }

  #takePayload(chunk: Uint8Array, at: number, header: FrameHeader): number {
    const size = Math.min(header.payloadLength - this.#received, chunk.length - at);
    this.#reserve(this.#received + size, header.payloadLength);
    this.#phase = copyMasked(chunk, at, at + size, this.#payload, this.#received, header.maskKey, this.#phase);
    this.#received += size;
    return at + size;
  }

  /** Doubles, so that bytes one at a time cost linear time, and never beyond what the frame can need. */
  #reserve(needed: number, declared: number): void {
    if (needed <= this.#payload.length) return;
    const grown = new Uint8Array(Math.min(declared, Math.max(needed, this.#payload.length * 2, FIRST_CAPACITY)));
    grown.set(this.#payload.subarray(0, this.#received));
    this.#payload = grown;
  }

  /** Memory never grows beyond the frame, and is full here. */
  #finish(): Uint8Array {
    const payload = this.#payload;
    this.#payload = new Uint8Array(0);
    return payload;
  }
}
