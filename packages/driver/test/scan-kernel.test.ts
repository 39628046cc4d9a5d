/** The kernel that finds short messages many at a time (RFC 6455 section 5.2): the same as the frame codec would, byte for byte. */
import type { FrameScanner } from '@ferrywire/core';
import { type FrameInit, serializeFrame } from '@ferrywire/core/frame';
import { scanKernel } from '@ferrywire/driver/adapter';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainScanner } from '../../core/test/plain-scanner.ts';

function kernel(slicesFrom: number | null): FrameScanner {
  const { scanner } = scanKernel(slicesFrom);
  if (scanner === undefined) throw new Error('every runtime of these tests has WebAssembly with SIMD');
  return scanner;
}
const small = kernel(null);
/** As on JavaScriptCore. */
const large = kernel(48);
const oracle = plainScanner(32_768);

/** Both look at the same bytes; what they found is the same, and the input is left as it was. Returns how many frames. */
function compare(input: Uint8Array, start: number, end: number, maxSize: number, scanner: FrameScanner = small): number {
  const before = Uint8Array.from(input);
  const count = scanner.scan(input, start, end, maxSize);
  expect(oracle.scan(input, start, end, maxSize)).toBe(count);
  expect(scanner.frames.slice(0, 3 * count)).toEqual(oracle.frames.slice(0, 3 * count));
  // What follows the last frame is as it came.
  const last = count === 0 ? 0 : (scanner.frames[3 * count - 2] as number);
  expect(Buffer.compare(scanner.bytes.subarray(0, last), oracle.bytes.subarray(0, last))).toBe(0);
  expect(Buffer.compare(scanner.bytes.subarray(last, end - start), before.subarray(start + last, end))).toBe(0);
  expect(Buffer.compare(input, before)).toBe(0);
  return count;
}

const frame = fc
  .record({
    opcode: fc.oneof({ weight: 30, arbitrary: fc.constantFrom(1, 2) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 15 }) }),
    fin: fc.oneof({ weight: 30, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    rsv: fc.oneof({ weight: 40, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 7 }) }),
    size: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 110, max: 140 }), fc.integer({ min: 0, max: 2060 })),
    byte: fc.constantFrom(0x61, 0x7f, 0x80, 0xff),
    at: fc.nat(2060),
    lengthBytes: fc.oneof({ weight: 30, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(2 as const, 8 as const) }),
    maskKey: fc.oneof({ weight: 30, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) }, { weight: 1, arbitrary: fc.constant(null) }),
  })
  .map(({ opcode, fin, rsv, size, byte, at, lengthBytes, maskKey }) => {
    const payload = new Uint8Array(size).fill(0x61);
    if (size > 0) payload[at % size] = byte;
    const init: FrameInit = { opcode, fin, rsv, payload };
    return serializeFrame({ ...init, ...(maskKey !== null && { maskKey }), ...(lengthBytes !== null && { lengthBytes }) });
  });

describe('the scanner of the adapters', () => {
  it('finds and unmasks what the frame codec does, in any bytes, at any offset', () => {
    let found = 0;
    const sizes = fc.constantFrom(0, 1, 125, 126, 127, 2047, 2048);
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 60 }), fc.nat(20), fc.nat(17_000), sizes, (frames, offset, cut, maxSize) => {
        const input = new Uint8Array(Buffer.concat([new Uint8Array(offset).fill(0x81), ...frames]));
        const end = Math.min(input.length, offset + 16_384, offset + cut);
        found += compare(input, offset, end, maxSize);
        found += compare(Buffer.from(input), offset, end, 2048);
        found += compare(input, offset, end, maxSize, large);
        found += compare(input.slice(0, 32_768), 0, Math.min(input.length, 32_768), 2048, large);
      }),
      { numRuns: 1000, seed: 3 },
    );
    expect(found).toBeGreaterThan(5000);
  });
  it('stops at anything in random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        compare(bytes, 0, bytes.length, 2048);
        compare(Uint8Array.from([0x81, 0xff, ...bytes]), 0, bytes.length + 2, 2048);
        compare(Uint8Array.from([0x82, 0xfe, 0, ...bytes]), 0, bytes.length + 3, 2048);
      }),
      { numRuns: 1000, seed: 5 },
    );
  });
  it('takes a window full of the shortest frames, and frames of every size that fits', () => {
    const empty = serializeFrame({ opcode: 1, maskKey: 0x01020304, payload: new Uint8Array(0) });
    const many = new Uint8Array(Buffer.concat(Array.from({ length: 2800 }, () => empty)));
    expect(compare(many, 0, 16_384, 2048)).toBe(2730);
    const most = new Uint8Array(Buffer.concat([many, many, many, many])).slice(0, 32_768);
    expect(compare(most, 0, 32_768, 2048, large)).toBe(5461);
    for (let size = 0; size <= 2048; size++) {
      const payload = new Uint8Array(size).map((_, at) => (at * 7 + size) & 0x7f);
      const one = serializeFrame({ opcode: 2, maskKey: 0xfedcba98 - size, payload });
      // The frame ends with the window.
      const input = new Uint8Array(16_384).fill(0xee);
      input.set(one);
      expect(compare(input, 0, one.length, size)).toBe(1);
      expect(compare(input, 0, one.length, size - 1 < 0 ? 0 : size - 1)).toBe(size === 0 ? 1 : 0);
      expect(compare(input, 0, one.length - 1, 2048)).toBe(0);
    }
  });
});
