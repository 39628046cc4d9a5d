/**
 * Finding and unmasking short messages many at a time, in WebAssembly (RFC 6455 sections 5.2 and 5.3). The core's receiver is the oracle.
 *
 * The window is copied in, and the payload unmasked 16 bytes at a time where it lies; on the way it is seen whether it is ASCII
 * (bench: `parse`, 125 B and 1 KiB). Beware: payload stays in that memory until the next window overwrites it; the core shows it to nobody.
 */
import type { FrameScanner, Kernels } from '@ferrywire/core';
import { instantiateWasm } from '../platform.ts';

/**
 * ```wat
 * (memory (export "memory") 2 2)
 * (func (export "scan") (param $at i32) (param $end i32) (param $max i32) (param $table i32) (result i32)
 *   (local $first i32) (local $size i32) (local $from i32) (local $to i32) (local $left i32)
 *   (local $keys v128) (local $bytes v128) (local $all v128) (local $entry i32)
 *   (local.set $entry (local.get $table))
 *   (block $done
 *     (loop $next
 *       (br_if $done (i32.lt_s (i32.sub (local.get $end) (local.get $at)) (i32.const 6)))
 *       ;; 0x81 or 0x82
 *       (local.set $first (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x81)))
 *       (br_if $done (i32.gt_u (local.get $first) (i32.const 1)))
 *       (local.set $size (i32.sub (i32.load8_u offset=1 (local.get $at)) (i32.const 0x80)))
 *       (br_if $done (i32.gt_u (local.get $size) (i32.const 126)))
 *       (local.set $from (i32.add (local.get $at) (i32.const 6)))
 *       (if (i32.eq (local.get $size) (i32.const 126))
 *         (then
 *           (local.set $size (i32.or (i32.shl (i32.load8_u offset=2 (local.get $at)) (i32.const 8)) (i32.load8_u offset=3 (local.get $at))))
 *           (br_if $done (i32.lt_u (local.get $size) (i32.const 126)))
 *           (local.set $from (i32.add (local.get $at) (i32.const 8)))))
 *       (br_if $done (i32.gt_u (local.get $size) (local.get $max)))
 *       (local.set $to (i32.add (local.get $from) (local.get $size)))
 *       (br_if $done (i32.gt_u (local.get $to) (local.get $end)))
 *       (local.set $keys (v128.load32_splat (i32.sub (local.get $from) (i32.const 4))))
 *       (local.set $all (v128.const i32x4 0 0 0 0))
 *       (local.set $at (local.get $from))
 *       (block $short
 *         (loop $block
 *           (br_if $short (i32.gt_u (i32.add (local.get $at) (i32.const 16)) (local.get $to)))
 *           (local.set $bytes (v128.xor (v128.load (local.get $at)) (local.get $keys)))
 *           (v128.store (local.get $at) (local.get $bytes))
 *           (local.set $all (v128.or (local.get $all) (local.get $bytes)))
 *           (local.set $at (i32.add (local.get $at) (i32.const 16)))
 *           (br $block)))
 *       ;; 1 to 15 bytes are left: a window of 32 bytes, 16 of ones and 16 of zeros, says which.
 *       (if (local.tee $left (i32.sub (local.get $to) (local.get $at)))
 *         (then
 *           (local.set $keys (v128.and (local.get $keys) (local.tee $bytes (v128.load offset=114688 (i32.sub (i32.const 16) (local.get $left))))))
 *           (local.set $all (v128.or (local.get $all) (v128.and (local.get $bytes) (local.tee $keys (v128.xor (v128.load (local.get $at)) (local.get $keys))))))
 *           (v128.store (local.get $at) (local.get $keys))))
 *       (i32.store (local.get $entry) (local.get $from))
 *       (i32.store offset=4 (local.get $entry) (local.get $to))
 *       (i32.store offset=8 (local.get $entry)
 *         (i32.or (local.get $first) (i32.shl (i32.ne (i8x16.bitmask (local.get $all)) (i32.const 0)) (i32.const 1))))
 *       (local.set $entry (i32.add (local.get $entry) (i32.const 12)))
 *       (local.set $at (local.get $to))
 *       (br $next)))
 *   (i32.div_u (i32.sub (local.get $entry) (local.get $table)) (i32.const 12)))
 * (data (i32.const 114688) "\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff\ff")
 * ```
 */
const MODULE =
  'AGFzbQEAAAABCQFgBH9/f38BfwMCAQAFBAEBAgIHEQIGbWVtb3J5AgAEc2NhbgAACtACAc0CAwV/A3sBfyADIQwCQANAIAEgAGtBBkgNASAALQAAQYEBayEEIARBAUsNASAALQABQYABayEFIAVB/gBLDQEgAEEGaiEGIAVB/gBGBEAgAC0AAkEIdCAALQADciEFIAVB/gBJDQIgAEEIaiEGCyAFIAJLDQEgBiAFaiEHIAcgAUsNASAGQQRr/QkCACEJ/QwAAAAAAAAAAAAAAAAAAAAAIQsgBiEAAkADQCAAQRBqIAdLDQEgAP0ABAAgCf1RIQogACAK/QsEACALIAr9UCELIABBEGohAAwACwsgByAAayIIBEAgCUEQIAhr/QAEgIAHIgr9TiEJIAsgCiAA/QAEACAJ/VEiCf1O/VAhCyAAIAn9CwQACyAMIAY2AgAgDCAHNgIEIAwgBCAL/WRBAEdBAXRyNgIIIAxBDGohDCAHIQAMAAsLIAwgA2tBDG4LCxgBAEGAgAcLEP////////////////////8=';
const WINDOW = 16_384;
/** Where a whole read can be copied in without a view of it: as long as most reads are (bench: `echo --runtime bun`, 1 KiB). */
const LARGE_WINDOW = 32_768;
/** Behind the window, which is read and written 16 bytes at a time. */
const TABLE = 40_960;
/** JavaScriptCore: from here on new memory for a slice costs more than a view of what is there (bench: `echo --runtime bun`, 1 KiB). */
const SLICES_UP_TO = 512;
/** A masked frame without payload. */
const SHORTEST = 6;

interface ScanExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  scan(at: number, end: number, maxSize: number, table: number): number;
}

/**
 * `slicesFrom`: see `FrameScanner`. Nothing where there is no WebAssembly with SIMD, or a policy forbids it.
 *
 * An array that is looked at whole is copied without a view: JavaScriptCore makes a buffer for an array only when it is asked for, which
 * costs more than all else that is done for a short message (bench: `echo --runtime bun`, 125 B and 1 KiB).
 */
export function scanKernel(slicesFrom: number | null): Pick<Kernels, 'scanner'> {
  const exports = instantiateWasm<ScanExports>(MODULE);
  if (exports === null) return {};
  const window = slicesFrom === null ? WINDOW : LARGE_WINDOW;
  const bytes = new Uint8Array(exports.memory.buffer, 0, window);
  const scanner: FrameScanner = {
    bytes,
    slicesFrom,
    slicesUpTo: SLICES_UP_TO,
    frames: new Int32Array(exports.memory.buffer, TABLE, 3 * Math.ceil(window / SHORTEST)),
    scan(input, start, end, maxSize) {
      const size = end - start;
      bytes.set(size === input.length ? input : new Uint8Array(input.buffer, input.byteOffset + start, size));
      return exports.scan(0, size, maxSize, TABLE);
    },
  };
  return { scanner };
}
