/**
 * The codec on node:zlib (Node, Bun, Deno): a raw handle that lives through many messages and is driven synchronously.
 *
 * node:zlib has no public way to do that: its streams go through a thread for every message, its synchronous functions keep no context.
 * So this uses what lies under the streams, `_handle.writeSync` and `_writeState`. Neither is documented; `probeCodec` finds out at start
 * whether they do what this file relies on, and the package falls back to pako when they do not.
 *
 * Beware: a handle that is used after `close`, or with a range outside of its buffers, ends the process on Node. `SteppedInflate` and
 * `SteppedDeflate` let go of the engine first, and ranges are checked here.
 */
import { createDeflateRaw, createInflateRaw } from 'node:zlib';
import type { DeflateCodec, RawDeflate, RawInflate } from './codec.ts';
import type { Engine } from './engine.ts';
import { SteppedDeflate } from './stepped-deflate.ts';
import { SteppedInflate } from './stepped-inflate.ts';

interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inStart: number,
    inLength: number,
    output: Uint8Array,
    outStart: number,
    outLength: number,
  ): void;
  reset(): void;
  close(): void;
  onerror: () => void;
}
interface Internals {
  readonly _handle?: Handle;
  /** After a call that did not fail: [output bytes left free, input bytes left]. */
  readonly _writeState?: Uint32Array;
}

/** The stream's own output buffer is never used: as small as node:zlib allows. */
const UNUSED_BUFFER = { chunkSize: 64 } as const;

class ZlibEngine implements Engine {
  readonly #handle: Handle;
  readonly #counters: Uint32Array;
  #failed = false;
  availIn = 0;
  availOut = 0;

  constructor(stream: object) {
    const { _handle, _writeState } = stream as Internals;
    if (typeof _handle?.writeSync !== 'function' || !(_writeState instanceof Uint32Array)) {
      throw new Error('node:zlib has no handle that can be driven synchronously');
    }
    this.#handle = _handle;
    this.#counters = _writeState;
    // Replaces the stream's own handler, which would destroy it and emit 'error'.
    _handle.onerror = () => {
      this.#failed = true;
    };
  }

  run(
    flush: number,
    input: Uint8Array,
    inStart: number,
    inLength: number,
    output: Uint8Array,
    outStart: number,
    outLength: number,
  ): boolean {
    // Node ends the process over a range that is not in the buffer, as when the application has detached one that waits to be sent.
    if (inLength < 0 || inStart + inLength > input.length) throw new RangeError('the input is no longer there: was its buffer detached?');
    this.#failed = false;
    this.#handle.writeSync(flush, input, inStart, inLength, output, outStart, outLength);
    if (this.#failed) return false;
    this.availOut = this.#counters[0] ?? 0;
    this.availIn = this.#counters[1] ?? 0;
    return true;
  }

  reset(): void {
    this.#handle.reset();
  }

  close(): void {
    this.#handle.close();
  }
}

/** DEFLATE by node:zlib, synchronous. Creating a context throws where node:zlib lacks what it needs: see `probeCodec`. */
export const zlibCodec: DeflateCodec = Object.freeze({
  contextTakeover: true,
  // zlib cannot compress with a window of 256 bytes: it silently takes 512 (RFC 7692 section 7.1.2.2, zlib issue 171).
  windowBits: Object.freeze({ inflate: Object.freeze([8, 15] as const), deflate: Object.freeze([9, 15] as const) }),
  createInflate: (_windowBits: number): RawInflate =>
    new SteppedInflate(new ZlibEngine(createInflateRaw({ ...UNUSED_BUFFER, windowBits: 15 }))),
  createDeflate: (windowBits: number, level: number, memLevel: number): RawDeflate =>
    new SteppedDeflate(new ZlibEngine(createDeflateRaw({ ...UNUSED_BUFFER, windowBits, level, memLevel }))),
});
