/**
 * A `RawDeflate` on top of one deflate() call: room, steps and flushing (RFC 7692 section 7.2.1).
 *
 * The engine writes into a buffer of its own that is never short of room, and what the caller has no room for is kept: so the bytes do not
 * depend on the room, and zlib is not caught with a full buffer in the middle of a flush, where it may write its marker twice.
 */
import type { TransformOutput } from '@ferrywire/core';
import type { RawDeflate, Step } from './codec.ts';
import { DEFLATE_STEP, type Engine, FLUSH_NONE, FLUSH_SYNC } from './engine.ts';

const SCRATCH_SIZE = 64 * 1024;
/** What a flush without new input adds: an empty stored block. deflate() itself would not repeat a flush. */
const EMPTY_BLOCK = Uint8Array.of(0x00, 0x00, 0x00, 0xff, 0xff);

/** One for all compressors of this thread: what is in it leaves it before `push` returns. */
let scratch: Uint8Array | null = null;

export class SteppedDeflate implements RawDeflate {
  #engine: Engine | null;
  /** Input was taken, or output is still inside the engine, since the last flush was complete. */
  #open = false;
  /** A flush is complete but for what is kept below. */
  #flushed = false;
  #kept: Uint8Array | null = null;
  #keptStart = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  push(input: Uint8Array, start: number, end: number, flush: boolean, out: TransformOutput): Step {
    const engine = this.#engine;
    if (engine === null) throw new Error('the compressor is closed');
    if (this.#kept !== null && !this.#deliverKept(out)) return { consumed: 0, status: 'more' };
    if (this.#flushed) {
      // The call only fetched the rest of a flush, or it starts something new.
      this.#flushed = false;
      if (start === end) return { consumed: 0, status: 'need' };
    }
    if (start === end && (!flush || !this.#open)) {
      if (flush) this.#deliver(EMPTY_BLOCK, EMPTY_BLOCK.length, out);
      this.#flushed = this.#kept !== null;
      return { consumed: 0, status: this.#flushed ? 'more' : 'need' };
    }
    if (out.room === 0) return { consumed: 0, status: 'more' };

    const stepEnd = end - start > DEFLATE_STEP ? start + DEFLATE_STEP : end;
    const flushing = flush && stepEnd === end;
    scratch ??= new Uint8Array(SCRATCH_SIZE);
    this.#open = true;
    if (!engine.run(flushing ? FLUSH_SYNC : FLUSH_NONE, input, start, stepEnd - start, scratch, 0, SCRATCH_SIZE)) {
      throw new Error('deflate() failed'); // its only errors are those of a broken codec
    }
    const consumed = stepEnd - engine.availIn - start;
    const full = engine.availOut === 0;
    this.#deliver(scratch, SCRATCH_SIZE - engine.availOut, out);
    if (flushing && !full) {
      this.#open = false;
      this.#flushed = this.#kept !== null;
    }
    return { consumed, status: full || this.#kept !== null || start + consumed < end ? 'more' : 'need' };
  }

  reset(): void {
    this.#engine?.reset();
    this.#open = false;
    this.#flushed = false;
    this.#kept = null;
  }

  close(): void {
    this.#engine?.close();
    this.#engine = null;
    this.#kept = null;
  }

  #deliver(bytes: Uint8Array, length: number, out: TransformOutput): void {
    const room = out.room;
    const now = length > room ? room : length;
    if (now < length) {
      this.#kept = bytes.slice(now, length);
      this.#keptStart = 0;
    }
    if (now > 0) out.write(bytes, 0, now);
  }

  #deliverKept(out: TransformOutput): boolean {
    const kept = this.#kept;
    if (kept === null) return true;
    const length = kept.length - this.#keptStart;
    const room = out.room;
    const now = length > room ? room : length;
    const from = this.#keptStart;
    this.#keptStart += now;
    if (now === length) this.#kept = null;
    if (now > 0) out.write(kept, from, from + now);
    return now === length;
  }
}
