/** Masks against the loop of RFC 6455 5.3, over every alignment, phase and the sizes where the kernels change. */

import { applyMask, copyMasked } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const KEY = 0x37fa213d;

function naive(bytes: Uint8Array, maskKey: number, phase: number): Uint8Array {
  const octets = [maskKey >>> 24, (maskKey >>> 16) & 255, (maskKey >>> 8) & 255, maskKey & 255];
  return bytes.map((byte, index) => byte ^ (octets[(index + phase) % 4] as number));
}
function ramp(size: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 255);
}
const sizes = [...Array.from({ length: 70 }, (_, size) => size), 100, 125, 126, 127, 128, 255, 256, 257, 1000, 1023, 1024, 1025, 4099];

it('copyMasked returns the next phase for every size, key and phase', () => {
  const from = new Uint8Array(600);
  const target = new Uint8Array(700);
  for (const key of [0, 0x0102_0304]) {
    for (let phase = 0; phase < 4; phase++) {
      for (let size = 0; size <= 600; size += size < 130 ? 1 : 47) {
        expect(copyMasked(from, 0, size, target, 3, key, phase)).toBe((phase + size) % 4);
        expect(copyMasked(from, 600 - size, 600, target, 0, key, phase)).toBe((phase + size) % 4);
      }
    }
  }
});

describe('applyMask', () => {
  it('equals the octet loop for every size, alignment and phase, and touches nothing else', () => {
    const wrong: string[] = [];
    for (const size of sizes) {
      for (let offset = 0; offset < 8; offset++) {
        for (let phase = 0; phase < 4; phase++) {
          const memory = ramp(size + 24);
          const expected = Uint8Array.from(memory);
          const view = new Uint8Array(memory.buffer, 3, size + 18);
          expected.set(naive(view.subarray(offset, offset + size), KEY, phase), 3 + offset);
          const next = applyMask(view, offset, offset + size, KEY, phase);
          if (next !== (phase + size) % 4 || Buffer.compare(memory, expected) !== 0) wrong.push(`${size} ${offset} ${phase}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('is an involution in any number of pieces (RFC 6455 5.3)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.nat(3),
        fc.array(fc.nat(100), { maxLength: 8 }),
        (bytes, key, phase, cuts) => {
          const masked = Uint8Array.from(bytes);
          let at = 0;
          let running = phase;
          for (const cut of cuts) {
            const to = Math.min(bytes.length, at + cut);
            running = applyMask(masked, at, to, key, running);
            at = to;
          }
          running = applyMask(masked, at, bytes.length, key, running);
          expect(running).toBe((phase + bytes.length) % 4);
          expect(masked).toEqual(naive(bytes, key, phase));
          applyMask(masked, 0, masked.length, key, phase);
          expect(masked).toEqual(bytes);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('takes Node Buffers, pooled ones included, and a key of 0 or with the top bit set', () => {
    for (const key of [0, 1, 0x80000000, 0xffffffff]) {
      const pooled = Buffer.from('some text that is long enough to be masked in words, from the pool');
      const before = Uint8Array.from(pooled);
      applyMask(pooled, 0, pooled.length, key, 1);
      expect(Uint8Array.from(pooled)).toEqual(naive(before, key, 1));
    }
  });

  it('many buffers in turn, small and large: the remembered view is never of the wrong one', () => {
    const buffers = [64, 64, 300_000, 64, 262_144, 300_000].map((size, index) => ramp(size, index));
    const copies = buffers.map((bytes) => naive(bytes, KEY, 0));
    for (let round = 0; round < 3; round++) for (const bytes of buffers) applyMask(bytes, 0, bytes.length, KEY, 0);
    buffers.forEach((bytes, index) => {
      expect(Buffer.compare(bytes, copies[index] as Uint8Array)).toBe(0);
    });
  });

  it('a resizable buffer that shrank and grew under the remembered view is masked whole', () => {
    const Resizable = ArrayBuffer as unknown as new (
      size: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(size: number): void };
    const buffer = new Resizable(64, { maxByteLength: 512 });
    for (const size of [64, 32, 512, 40]) {
      buffer.resize(size);
      const bytes = new Uint8Array(buffer);
      bytes.set(ramp(size));
      applyMask(bytes, 0, size, KEY, 0);
      expect(Uint8Array.from(bytes)).toEqual(naive(ramp(size), KEY, 0));
    }
  });
});

describe('copyMasked', () => {
  it('equals the octet loop for every size, both alignments and every phase; source and surroundings stay as they were', () => {
    const wrong: string[] = [];
    for (const size of sizes) {
      for (let from = 0; from < 4; from++) {
        for (let to = 0; to < 4; to++) {
          for (let phase = 0; phase < 4; phase++) {
            const memory = ramp(size + 8);
            const source = memory.subarray(1, size + 7);
            const target = ramp(size + 8, 5);
            const expected = Uint8Array.from(target);
            expected.set(naive(source.subarray(from, from + size), KEY, phase), to);
            const next = copyMasked(source, from, from + size, target, to, KEY, phase);
            const kept = Buffer.compare(memory, ramp(size + 8)) === 0;
            if (next !== (phase + size) % 4 || !kept || Buffer.compare(target, expected) !== 0)
              wrong.push(`${size} ${from} ${to} ${phase}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('within one buffer, moving down', () => {
    for (const size of [10, 40, 333]) {
      for (let gap = 0; gap < 10; gap++) {
        const bytes = ramp(size + gap);
        const expected = naive(ramp(size + gap).subarray(gap), KEY, 2);
        copyMasked(bytes, gap, gap + size, bytes, 0, KEY, 2);
        expect(bytes.slice(0, size)).toEqual(expected);
      }
    }
  });

  it('with key 0 it is a copy', () => {
    const target = new Uint8Array(301);
    expect(copyMasked(ramp(300), 0, 300, target, 1, 0, 0)).toBe(0);
    expect(target.slice(1)).toEqual(ramp(300));
  });

  it('a target without room throws a RangeError and is not written to', () => {
    const target = new Uint8Array(10);
    expect(() => copyMasked(ramp(300), 0, 8, target, 3, KEY, 0)).toThrow(/target has no room/);
    expect(() => copyMasked(ramp(300), 0, 300, target, 0, KEY, 0)).toThrow(RangeError);
    expect(target).toEqual(new Uint8Array(10));
  });
});
