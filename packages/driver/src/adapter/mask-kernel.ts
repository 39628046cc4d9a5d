/**
 * Masking by WebAssembly SIMD (RFC 6455 section 5.3), for payloads of 384 bytes and more. The core's plain functions are the oracle.
 *
 * The payload is copied through a block of 16 KiB that all connections of the process share: in, XORed 64 bytes at a time, out. Copies are so
 * cheap that this is twice as fast as 32-bit words at 1 KiB and four times at 16 KiB; below 384 bytes the calls cost more than they save
 * (bench: `parse`, 1 KiB and more). Beware: payload
 * passes through that block and the next one overwrites it; nothing outside this file can read it.
 */
import type { Kernels } from '@ferrywire/core';
import { applyMask, copyMasked } from '@ferrywire/core/frame';
import { instantiateWasm } from '../platform.ts';

/**
 * ```wat
 * (memory (export "memory") 1 1)
 * (func (export "mask") (param $at i32) (param $end i32) (param $key i32) (local $keys v128)
 *   (local.set $keys (i32x4.splat (local.get $key)))
 *   (loop $next
 *     ;; four times, at offsets 0, 16, 32 and 48:
 *     (v128.store (local.get $at) (v128.xor (v128.load (local.get $at)) (local.get $keys)))
 *     (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end)))))
 * ```
 */
const MODULE =
  'AGFzbQEAAAABBwFgA39/fwADAgEABQQBAQEBBxECBm1lbW9yeQIABG1hc2sAAApcAVoBAXsgAv0RIQMDQCAAIAD9AAQAIAP9Uf0LBAAgACAA/QAEECAD/VH9CwQQIAAgAP0ABCAgA/1R/QsEICAAIAD9AAQwIAP9Uf0LBDAgAEHAAGoiACABSQ0ACws=';
/** What stays in the first cache while it is copied in, masked and copied out: blocks of 64 KiB took a quarter longer at 1 MiB (bench: `parse`). */
const BLOCK = 16_384;
const WASM_FROM = 384;

interface MaskExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  mask(at: number, end: number, key: number): void;
}
type MaskKernels = Required<Pick<Kernels, 'applyMask' | 'copyMasked'>>;

/** Null where there is no WebAssembly with SIMD, or a policy forbids it. */
export function maskKernels(): MaskKernels | null {
  const exports = instantiateWasm<MaskExports>(MODULE);
  if (exports === null) return null;
  const memory = new Uint8Array(exports.memory.buffer, 0, BLOCK);
  const mask = exports.mask;

  function copy(
    source: Uint8Array,
    start: number,
    end: number,
    target: Uint8Array,
    offset: number,
    maskKey: number,
    phase: number,
  ): number {
    const size = end - start;
    if (size < WASM_FROM) {
      return source === target
        ? applyMask(source, start, end, maskKey, phase)
        : copyMasked(source, start, end, target, offset, maskKey, phase);
    }
    const key = littleEndianKey(maskKey, phase);
    // A block is a multiple of four: every one begins at the same byte of the key.
    for (let done = 0; done < size; done += BLOCK) {
      const count = size - done < BLOCK ? size - done : BLOCK;
      memory.set(new Uint8Array(source.buffer, source.byteOffset + start + done, count));
      mask(0, count, key);
      target.set(count === BLOCK ? memory : new Uint8Array(memory.buffer, 0, count), offset + done);
    }
    return (phase + size) & 3;
  }
  return {
    applyMask: (bytes, start, end, maskKey, phase) => copy(bytes, start, end, bytes, start, maskKey, phase),
    copyMasked: copy,
  };
}

/** The key from byte `phase` on, as WebAssembly lays a 32-bit number out in memory. */
function littleEndianKey(maskKey: number, phase: number): number {
  const shift = phase << 3;
  const key = shift === 0 ? maskKey : (maskKey << shift) | (maskKey >>> (32 - shift));
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}
