/**
 * A `RawInflate` on top of one inflate() call: room, steps, BFINAL and the end of a message (RFC 7692 section 7.2.2).
 *
 * The output buffer is the history at the same time: output is written behind the last 32 KiB, so keeping a window for a restart costs no
 * copy per message. It is needed because a block with BFINAL=1 ends zlib's stream: inflate() then takes nothing, returns nothing and
 * reports nothing, and only a reset, which forgets the window, makes it go on. So the window is put back as one stored block.
 *
 * Beware: the engine always has a window of 32 KiB, whatever was negotiated. A smaller one would not be enforced by zlib but make the
 * outcome of a distance beyond it depend on how the output happened to be sliced.
 */
import type { TransformOutput, TransformStatus } from '@ferrywire/core';
import type { RawInflate, Step } from './codec.ts';
import { type Engine, FLUSH_BLOCK, FLUSH_SYNC, INFLATE_STEP } from './engine.ts';

const WINDOW = 32 * 1024;
const FIRST_HISTORY = 4 * 1024;
const FULL_HISTORY = WINDOW + 16 * 1024;
/** The most output of one engine call. */
const OUTPUT_STEP = 16 * 1024;
/** A restart costs about 2 microseconds, a block that causes one takes as little as two bytes: so restarts are bounded per step as well. */
const RESTARTS_PER_STEP = 256;
/** Input that is given byte by byte costs about a fifth of a microsecond for each, and is bounded per step too. */
const SINGLES_PER_STEP = 2048;
const NOTHING = new Uint8Array(0);

/**
 * The four bytes the sender removed, and one that must not be taken: with FLUSH_BLOCK inflate() stops behind the empty stored block when
 * the four bytes complete one, and takes the fifth when it is anywhere else.
 */
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff, 0x00);
const TAIL_ROOM = 8;
/** Nothing comes out at the end of a message; what does come out belongs to a message that was cut. */
const tailSink = new Uint8Array(TAIL_ROOM);

/** Takes the window while it is put back: the bytes come out again and are not wanted. */
let sink: Uint8Array | null = null;

export class SteppedInflate implements RawInflate {
  #engine: Engine | null;
  #failed = false;
  #history: Uint8Array = NOTHING;
  /** End of the output in `#history`. */
  #end = 0;
  /** First byte of the output that found no room yet. At most one byte is held back. */
  #held = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  push(input: Uint8Array, start: number, end: number, out: TransformOutput): Step | null {
    const engine = this.#engine;
    if (engine === null || this.#failed) return null;
    if (this.#held < this.#end && !this.#deliver(out)) return { consumed: 0, status: 'more' };
    const stepEnd = end - start > INFLATE_STEP ? start + INFLATE_STEP : end;
    let at = start;
    let produced = 0;
    let restarts = 0;
    let singles = 0;
    // Whether the engine may have output ready, for which there was no room.
    let mayOwe = true;
    for (;;) {
      this.#makeSpace();
      const room = out.room;
      // A call that fails does not say how much it wrote. The last byte of the room may be the one too many, so the call before leaves it, and
      // the input for it comes byte by byte, behind none for what is ready by then: what is too large and what is bad is then the same in any
      // split. Beyond the room one byte is held back; it tells whether output remains. That may be the one too many as well, where there was
      // less room than the message may take.
      const wanted = room > OUTPUT_STEP ? OUTPUT_STEP : room > 1 ? room - 1 : 1;
      const pieceEnd = room <= 1 && at < stepEnd ? (mayOwe ? at : at + 1) : stepEnd;
      const space = this.#history.length - this.#end;
      const length = space < wanted ? space : wanted;
      if (!engine.run(FLUSH_SYNC, input, at, pieceEnd - at, this.#history, this.#end, length)) {
        this.#failed = true;
        return null;
      }
      const left = engine.availIn;
      const free = engine.availOut;
      const from = this.#end;
      at = pieceEnd - left;
      mayOwe = free === 0;
      if (free < length) {
        produced += length - free;
        this.#end = from + length - free;
        this.#held = this.#end - from > room ? from + room : this.#end;
        if (room > 0) out.write(this.#history, from, this.#held);
      }
      if (free === 0) {
        if (this.#held === this.#end && out.room <= 1) continue; // whether anything remains is not known yet
        return { consumed: at - start, status: 'more' };
      }
      if (left === 0) {
        if (at === stepEnd || ++singles === SINGLES_PER_STEP) break;
        continue;
      }
      // Input left and room left: a block with BFINAL=1 has ended the stream.
      if (restarts === RESTARTS_PER_STEP || produced >= OUTPUT_STEP) break;
      restarts++;
      if (!this.#restart(engine)) return null;
    }
    return { consumed: at - start, status: at < end ? 'more' : 'need' };
  }

  finish(out: TransformOutput): TransformStatus | null {
    const engine = this.#engine;
    if (engine === null || this.#failed) return null;
    if (this.#held < this.#end && !this.#deliver(out)) return 'more';
    const ok = engine.run(FLUSH_BLOCK, TAIL, 0, TAIL.length, tailSink, 0, TAIL_ROOM);
    // Nothing taken: the payload ended with a block with BFINAL=1 and nothing behind it, which is complete as it is. The next message
    // finds the stream ended and restarts it.
    if (ok && engine.availOut === TAIL_ROOM && (engine.availIn === 1 || engine.availIn === TAIL.length)) return 'need';
    this.#failed = true;
    return null;
  }

  reset(): void {
    this.#engine?.reset();
    this.#failed = false;
    this.#end = 0;
    this.#held = 0;
  }

  close(): void {
    this.#engine?.close();
    this.#engine = null;
    this.#history = NOTHING;
    this.#end = 0;
    this.#held = 0;
  }

  /** Writes what there is room for. False when something had to be held back. */
  #deliver(out: TransformOutput): boolean {
    const length = this.#end - this.#held;
    if (length === 0) return true;
    const room = out.room;
    const now = length > room ? room : length;
    if (now > 0) {
      const from = this.#held;
      this.#held += now;
      out.write(this.#history, from, from + now);
    }
    return now === length;
  }

  /** Grows the history while it is small, then moves the window to its front. Nothing is held back when this is called. */
  #makeSpace(): void {
    const history = this.#history;
    const size = history.length;
    const least = size >> 2;
    if (size > 0 && size - this.#end >= (least > FIRST_HISTORY ? FIRST_HISTORY : least)) return;
    const kept = this.#end > WINDOW ? WINDOW : this.#end;
    if (size < FULL_HISTORY) {
      const doubled = size === 0 ? FIRST_HISTORY : size * 2;
      this.#history = new Uint8Array(doubled > FULL_HISTORY ? FULL_HISTORY : doubled);
      this.#history.set(history.subarray(this.#end - kept, this.#end));
    } else {
      history.copyWithin(0, this.#end - kept, this.#end);
    }
    this.#end = kept;
    this.#held = kept;
  }

  /** Starts a new stream with the window of the old one. */
  #restart(engine: Engine): boolean {
    engine.reset();
    const length = this.#end > WINDOW ? WINDOW : this.#end;
    if (length === 0) return true;
    sink ??= new Uint8Array(WINDOW);
    const header = Uint8Array.of(0x00, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff);
    const ok =
      engine.run(FLUSH_SYNC, header, 0, header.length, sink, 0, WINDOW) &&
      engine.run(FLUSH_SYNC, this.#history, this.#end - length, length, sink, 0, WINDOW) &&
      engine.availIn === 0;
    if (!ok) this.#failed = true;
    return ok;
  }
}
