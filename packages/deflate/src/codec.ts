/**
 * What a compression library has to offer to carry permessage-deflate (RFC 7692 section 7.2): raw DEFLATE in both directions, synchronous,
 * step-wise, with the window kept between messages.
 *
 * Beware: `push` of a codec moves the bytes of the stream as they are. Removing and appending 00 00 ff ff is the transforms' business.
 */
import type { TransformOutput, TransformStatus } from '@ferrywire/core';

/** One step: input bytes taken from `start` on, and whether to call again. */
export interface Step {
  readonly consumed: number;
  readonly status: TransformStatus;
}

/** A compression library behind one interface. Negotiation offers and accepts only what it says it can do. */
export interface DeflateCodec {
  /** Whether a context can live through several messages. */
  readonly contextTakeover: boolean;
  /** Base-2 logarithms of the window sizes it can do, smallest and largest: usually inflate 8 to 15, deflate 9 to 15. */
  readonly windowBits: {
    readonly inflate: readonly [min: number, max: number];
    readonly deflate: readonly [min: number, max: number];
  };
  createInflate(windowBits: number): RawInflate;
  /** `level` is 0 to 9, `memLevel` 1 to 9. */
  createDeflate(windowBits: number, level: number, memLevel: number): RawDeflate;
}

/**
 * A decompressor. Goes on after a block with BFINAL=1, window kept (RFC 7692 section 7.2.3.4). A distance beyond the negotiated window
 * gives the same result at every split of input and output: exact data, or null.
 */
export interface RawInflate {
  /**
   * Decompresses a bounded part of `input[start, end)`. Null: the data is not DEFLATE; only `reset` and `close` may follow.
   * 'more' is said only when input or output remains.
   */
  push(input: Uint8Array, start: number, end: number, out: TransformOutput): Step | null;
  /**
   * Ends a message whose last four bytes, 00 00 ff ff, were not sent (RFC 7692 section 7.2.2): afterwards the stream stands at a block
   * boundary. Null: it does not, so the message was cut. Optional: without it the four bytes go through `push`, and a cut message is only
   * found out by the next one.
   */
  finish?(out: TransformOutput): TransformStatus | null;
  /** Forgets everything, the window too. */
  reset(): void;
  /** Frees native memory. `push` returns null from then on. */
  close(): void;
}

/** A compressor. */
export interface RawDeflate {
  /**
   * Compresses a bounded part of `input[start, end)`. With `flush`, once all input is taken, the output ends with an empty stored block,
   * 00 00 ff ff (Z_SYNC_FLUSH), and the status is 'need' when all of it is written. Throws after `close`.
   */
  push(input: Uint8Array, start: number, end: number, flush: boolean, out: TransformOutput): Step;
  /** Forgets everything, the window too: equal input then gives equal output. */
  reset(): void;
  /** Frees native memory. */
  close(): void;
}
