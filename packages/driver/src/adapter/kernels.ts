/**
 * UTF-8 by what Node's `Buffer` can do natively, on Node, Bun and Deno (RFC 6455 section 8.1). The core's plain functions are the oracle.
 *
 * Decoding is one native pass that replaces what is not UTF-8 by U+FFFD, and only a text that contains U+FFFD is looked at again: the
 * character itself is legal. That is 1.2 to 1.7 times as fast as checking first.
 *
 * Beware: `utf8Slice`, `latin1Slice` and `isUtf8` take any byte array, but the slices are methods of `Buffer`, hence the calls through
 * the prototype. They are not in the documentation; where they are missing the documented `toString` of a view does the same.
 */
import type { Kernels } from '@ferrywire/core';

/** What is used of the module `node:buffer`. */
export interface BufferModule {
  readonly Buffer: {
    readonly prototype: object;
    allocUnsafeSlow(size: number): Uint8Array<ArrayBuffer>;
    from(buffer: ArrayBufferLike, byteOffset: number, length: number): { toString(encoding: 'utf8' | 'latin1'): string };
  };
  readonly constants: { readonly MAX_STRING_LENGTH: number };
  isUtf8(bytes: Uint8Array): boolean;
  isAscii(bytes: Uint8Array): boolean;
}

type Decode = (bytes: Uint8Array, start: number, end: number) => string | null;
type Slice = (this: Uint8Array, start: number, end: number) => string;
interface NativeBuffer {
  readonly utf8Slice?: Slice;
  readonly latin1Slice?: Slice;
}

/** How a runtime decodes fastest. */
export interface DecoderChoice {
  /** Put strings of up to 20 bytes together from character codes: V8's native call costs more than that, JavaScriptCore's less. Default false. */
  readonly small?: boolean;
  /** Bytes from which checking for ASCII first pays; Infinity for never. */
  readonly asciiFrom: number;
}

const SMALL = 20;

/** Bytes of memory from one guard to the next. glibc gives back from 128 KiB on, but guards that close were no better. */
const GUARDED = 1_048_576;
/** Small, but no size that an allocator keeps lists of. */
const GUARD = 4096;
/** As many as reach back to what was made at the last collection. */
const GUARDS = 64;

/**
 * Memory that is not cleared first (5 times as fast at 16 KiB): a plain array over it, so that messages have one type.
 *
 * After so many bytes something small is made, and the last few of those are kept. They lie at the end of the heap when the messages before
 * them are collected, so that their memory serves the next ones: otherwise it goes back to the system and comes again page by page, which
 * was two thirds of the cost of 1 MiB on Node 20 (bench: `parse`, binary 64 KiB and 1 MiB). It costs 256 KiB in a process.
 */
export function allocateKernel(module: BufferModule): Required<Pick<Kernels, 'allocate'>> {
  const guards: Uint8Array[] = [];
  let next = 0;
  let unguarded = 0;
  return {
    allocate(size) {
      if (size <= TINY) return new Uint8Array(size);
      const bytes = new Uint8Array(module.Buffer.allocUnsafeSlow(size).buffer);
      unguarded += size;
      if (unguarded >= GUARDED) {
        unguarded = 0;
        guards[next] = module.Buffer.allocUnsafeSlow(GUARD);
        next = (next + 1) % GUARDS;
      }
      return bytes;
    },
  };
}

/** The sizes for which V8 and JavaScriptCore keep the bytes in the array's object, on most runtimes. */
const TINY = 64;
const SLAB = 8192;

/** Memory for runtimes that make a buffer of its own for the smallest array too: on Deno 16 bytes cost 1 to 2 us, a cut of a slab 0.1. */
export function cutKernel(markShared: Kernels['markShared']): Required<Pick<Kernels, 'allocate'>> {
  let slab = new ArrayBuffer(0);
  let used = 0;
  return {
    allocate(size) {
      if (size > TINY) return new Uint8Array(size);
      // None of it is left, too, when the application has transferred it all the same.
      if (used + size > slab.byteLength) {
        slab = new ArrayBuffer(SLAB);
        markShared?.(slab);
        used = 0;
      }
      const bytes = new Uint8Array(slab, used, size);
      used += size;
      return bytes;
    },
  };
}

export interface KernelChoice extends DecoderChoice {
  /** Is memory that is not cleared faster to have? Node 24 takes up to 14 us for 64 KiB of it, and clears as fast. */
  readonly uncleared?: boolean;
  /**
   * JavaScriptCore: masking 32-bit words is as fast as by WebAssembly, and 8 times as fast in place; and from 48 bytes on a slice is
   * the cheapest way to memory of a message's own.
   */
  readonly javaScriptCore?: boolean;
  /** Is a cut of a larger buffer faster to have than the smallest buffer of its own? */
  readonly cut?: boolean;
}

/** The text when all of it is ASCII, else null. */
function smallAscii(bytes: Uint8Array, start: number, end: number): string | null {
  let text = '';
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const a = bytes[at] as number; // at + 7 < end <= bytes.length, here and below
    const b = bytes[at + 1] as number;
    const c = bytes[at + 2] as number;
    const d = bytes[at + 3] as number;
    const e = bytes[at + 4] as number;
    const f = bytes[at + 5] as number;
    const g = bytes[at + 6] as number;
    const h = bytes[at + 7] as number;
    if ((a | b | c | d | e | f | g | h) > 127) return null;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  for (; at < end; at++) {
    const code = bytes[at] as number;
    if (code > 127) return null;
    text += String.fromCharCode(code);
  }
  return text;
}

/** The two kernels for text, as `ConnectionOptions.kernels` takes them. */
export function textKernels(module: BufferModule, choice: DecoderChoice): Required<Pick<Kernels, 'decodeUtf8' | 'decodeAscii' | 'isUtf8'>> {
  const { Buffer, isAscii, isUtf8: isUtf8Native } = module;
  const most = module.constants.MAX_STRING_LENGTH;
  const native = Buffer.prototype as NativeBuffer;
  const slow = (encoding: 'utf8' | 'latin1'): Slice =>
    function (this: Uint8Array, start, end): string {
      return Buffer.from(this.buffer, this.byteOffset + start, end - start).toString(encoding);
    };
  const utf8Slice = native.utf8Slice ?? slow('utf8');
  const latin1Slice = native.latin1Slice ?? slow('latin1');
  const { small, asciiFrom } = choice;

  function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
    return isUtf8Native(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
  }
  const decodeUtf8: Decode = (bytes, start, end) => {
    const size = end - start;
    if (small && size <= SMALL) {
      const text = smallAscii(bytes, start, end);
      if (text !== null) return text;
    } else if (size >= asciiFrom && size <= most) {
      if (isAscii(new Uint8Array(bytes.buffer, bytes.byteOffset + start, size))) return latin1Slice.call(bytes, start, end);
    }
    // No string could hold it; a limit on message size was lifted above what the engine can do.
    if (size > most) return null;
    const text = utf8Slice.call(bytes, start, end);
    return text.indexOf('\ufffd') === -1 || isUtf8(bytes, start, end) ? text : null;
  };
  const decodeAscii: Decode = (bytes, start, end) => (end - start > most ? null : latin1Slice.call(bytes, start, end));
  return { decodeUtf8, decodeAscii, isUtf8 };
}
