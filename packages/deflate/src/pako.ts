/**
 * The codec that runs everywhere: DEFLATE in JavaScript, from pako. Used where there is no node:zlib, and where the probe of that one fails.
 *
 * It calls pako's port of inflate() and deflate() itself: the classes on top collect output without a bound.
 */
import {
  ZStream,
  zlibDeflate,
  zlibDeflateEnd,
  zlibDeflateInit2,
  zlibDeflateReset,
  zlibInflate,
  zlibInflateEnd,
  zlibInflateInit2,
  zlibInflateReset,
} from 'pako';
import type { DeflateCodec, RawDeflate, RawInflate } from './codec.ts';
import type { Engine } from './engine.ts';
import { SteppedDeflate } from './stepped-deflate.ts';
import { SteppedInflate } from './stepped-inflate.ts';

const Z_OK = 0;
const Z_STREAM_END = 1;
/** No progress was possible: not an error for a stream that is fed in pieces. */
const Z_BUF_ERROR = -5;
const METHOD_DEFLATED = 8;
const STRATEGY_DEFAULT = 0;
const NOTHING = new Uint8Array(0);

type Flush = Parameters<typeof zlibInflate>[1];

abstract class PakoEngine implements Engine {
  protected readonly stream: ZStream = new ZStream();

  get availIn(): number {
    return this.stream.avail_in;
  }
  get availOut(): number {
    return this.stream.avail_out;
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
    const stream = this.stream;
    stream.input = input;
    stream.next_in = inStart;
    stream.avail_in = inLength;
    stream.output = output as Uint8Array<ArrayBuffer>; // pako only writes bytes; its type excludes shared memory without need
    stream.next_out = outStart;
    stream.avail_out = outLength;
    const status = this.step(flush as Flush);
    // An idle context must not keep the application's message, or what a whole chunk of the transport holds.
    stream.input = NOTHING;
    return status === Z_OK || status === Z_STREAM_END || status === Z_BUF_ERROR;
  }

  abstract reset(): void;
  abstract close(): void;
  protected abstract step(flush: Flush): number;
}

class PakoInflateEngine extends PakoEngine {
  constructor() {
    super();
    zlibInflateInit2(this.stream, -15);
  }
  reset(): void {
    zlibInflateReset(this.stream);
  }
  close(): void {
    zlibInflateEnd(this.stream);
  }
  protected step(flush: Flush): number {
    return zlibInflate(this.stream, flush);
  }
}

class PakoDeflateEngine extends PakoEngine {
  constructor(windowBits: number, level: number, memLevel: number) {
    super();
    zlibDeflateInit2(this.stream, level, METHOD_DEFLATED, -windowBits, memLevel, STRATEGY_DEFAULT);
  }
  reset(): void {
    zlibDeflateReset(this.stream);
  }
  close(): void {
    zlibDeflateEnd(this.stream);
  }
  protected step(flush: Flush): number {
    return zlibDeflate(this.stream, flush);
  }
}

/** DEFLATE in JavaScript. Two to three times the CPU of node:zlib in bulk, more for small messages. */
export const pakoCodec: DeflateCodec = Object.freeze({
  contextTakeover: true,
  windowBits: Object.freeze({ inflate: Object.freeze([8, 15] as const), deflate: Object.freeze([9, 15] as const) }),
  createInflate: (_windowBits: number): RawInflate => new SteppedInflate(new PakoInflateEngine()),
  createDeflate: (windowBits: number, level: number, memLevel: number): RawDeflate =>
    new SteppedDeflate(new PakoDeflateEngine(windowBits, level, memLevel)),
});
