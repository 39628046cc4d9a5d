/** Set up for every vitest file: to vitest's own `toEqual` any two ArrayBuffers, or DataViews, are equal, so that a test of them could not fail. */
import { expect } from 'vitest';

function bytesOf(value: unknown): Uint8Array | null {
  if (value instanceof DataView) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return value instanceof ArrayBuffer || value instanceof SharedArrayBuffer ? new Uint8Array(value) : null;
}

expect.addEqualityTesters([
  function equalBytes(a, b): boolean | undefined {
    const [left, right] = [bytesOf(a), bytesOf(b)];
    if (left === null && right === null) return undefined;
    if (left === null || right === null || Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
    return left.length === right.length && left.every((byte, index) => byte === right[index]);
  },
]);
