/**
 * The narrow waist under both codecs: one call of zlib's inflate() or deflate(), with its counters.
 *
 * Everything that is about messages, room and steps is written once, above this line, in stepped-inflate.ts and stepped-deflate.ts.
 */

/** zlib's flush modes. `BLOCK` makes inflate stop at the next block boundary. */
export const FLUSH_NONE = 0;
export const FLUSH_SYNC = 2;
export const FLUSH_BLOCK = 5;

/** The most input one step takes. Bounds the worst cases: nothing but dynamic block headers, and slow matches at level 9. */
export const INFLATE_STEP: number = 16 * 1024;
export const DEFLATE_STEP: number = 8 * 1024;

export interface Engine {
  /** Input bytes the last `run` left. Unspecified when it failed. */
  readonly availIn: number;
  /** Output bytes the last `run` left free. Unspecified when it failed. */
  readonly availOut: number;
  /** One call of inflate() or deflate(). False on a data error. `outLength` is at least 1. */
  run(
    flush: number,
    input: Uint8Array,
    inStart: number,
    inLength: number,
    output: Uint8Array,
    outStart: number,
    outLength: number,
  ): boolean;
  reset(): void;
  /** Frees native memory. No other method may be called afterwards: on Node that ends the process. */
  close(): void;
}
