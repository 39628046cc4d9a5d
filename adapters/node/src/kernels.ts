/**
 * UTF-8 by what Node's `Buffer` can do natively (RFC 6455 section 8.1). The core's plain functions are the oracle.
 *
 * Decoding is one native pass that replaces what is not UTF-8 by U+FFFD, and only a text that contains U+FFFD is looked at again: the
 * character itself is legal. That is 1.2 to 1.7 times as fast as checking first.
 *
 * Beware: `utf8Slice`, `latin1Slice` and `isUtf8` take any byte array, but the slices are methods of `Buffer`, hence the calls through
 * the prototype. They are not in the documentation; where they are missing the documented `toString` of a view does the same.
 */
import { Buffer, constants, isAscii, isUtf8 as isUtf8Native } from 'node:buffer';
import type { Kernels } from '@ferrywire/core';

type Slice = (this: Uint8Array, start: number, end: number) => string;
interface NativeBuffer {
  readonly utf8Slice?: Slice;
  readonly latin1Slice?: Slice;
}

const native = Buffer.prototype as unknown as NativeBuffer;

function viewOf(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
}

const utf8Slice: Slice =
  native.utf8Slice ??
  function (this: Uint8Array, start, end): string {
    return viewOf(this, start, end).toString('utf8');
  };
const latin1Slice: Slice =
  native.latin1Slice ??
  function (this: Uint8Array, start, end): string {
    return viewOf(this, start, end).toString('latin1');
  };

function engine(): 'v8' | 'jsc' {
  return process.versions.bun === undefined ? 'v8' : 'jsc';
}

/**
 * The size from which checking for ASCII first pays: on Node 20 (1 MiB of ASCII 7 times as fast, 16 KiB 1.1 times) and on Deno (16 KiB
 * 10 times, 1 KiB twice), whose UTF-8 decoders are slow on plain ASCII. Elsewhere it costs a little.
 */
function asciiFirstFrom(): number {
  if (process.versions.deno !== undefined) return 512;
  return process.versions.bun === undefined && Number.parseInt(process.versions.node, 10) < 22 ? 16_384 : Number.POSITIVE_INFINITY;
}

/** Up to so many bytes a string is put together from character codes: a native call costs more. */
const SMALL = 20;

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

function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  return isUtf8Native(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start));
}

function decodeChecked(bytes: Uint8Array, start: number, end: number): string | null {
  // No string could hold it; a limit on message size was lifted above what the engine can do.
  if (end - start > constants.MAX_STRING_LENGTH) return null;
  const text = utf8Slice.call(bytes, start, end);
  return text.indexOf('\ufffd') === -1 || isUtf8(bytes, start, end) ? text : null;
}

function decoderFor(small: boolean, asciiFirst: number): (bytes: Uint8Array, start: number, end: number) => string | null {
  return (bytes, start, end) => {
    const size = end - start;
    if (small && size <= SMALL) {
      const text = smallAscii(bytes, start, end);
      if (text !== null) return text;
    } else if (size >= asciiFirst && size <= constants.MAX_STRING_LENGTH) {
      if (isAscii(new Uint8Array(bytes.buffer, bytes.byteOffset + start, size))) return latin1Slice.call(bytes, start, end);
    }
    return decodeChecked(bytes, start, end);
  };
}

/** Every variant, for the tests: which one runs is chosen once, at load, for the runtime at hand. */
export const decoders: { readonly [name: string]: (bytes: Uint8Array, start: number, end: number) => string | null } = {
  v8: decoderFor(true, Number.POSITIVE_INFINITY),
  'v8 ascii first': decoderFor(true, 64),
  jsc: decoderFor(false, Number.POSITIVE_INFINITY),
};

export const kernels: Kernels = { decodeUtf8: decoderFor(engine() === 'v8', asciiFirstFrom()), isUtf8 };
