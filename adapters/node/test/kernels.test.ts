/** The kernels against the plain decoder: a strict TextDecoder, which is what the core uses without them. */
import buffer from 'node:buffer';
import timers from 'node:timers';
import threads from 'node:worker_threads';
import { runtimeOf } from '@ferrywire/driver/adapter';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decoders, kernels } from '../dist/kernels.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function oracle(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    return null;
  }
}

/** Bytes that are UTF-8 more often than not, with damage, at an offset inside a larger buffer. */
const damaged = fc
  .record({
    text: fc.string({
      unit: fc.constantFrom('a', 'z', ' ', 'ä', '€', '\u{1d11e}', '\ufffd', '\ufeff', '\0', '\x7f', '\x80'),
      maxLength: 120,
    }),
    repeat: fc.integer({ min: 1, max: 12 }),
    before: fc.uint8Array({ maxLength: 7 }),
    after: fc.uint8Array({ maxLength: 7 }),
    damage: fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), { maxLength: 2 }),
  })
  .map(({ text, repeat, before, after, damage }) => {
    const payload = Buffer.from(text.repeat(repeat));
    for (const { at, value } of damage) if (payload.length > 0) payload[at % payload.length] = value;
    const bytes = new Uint8Array([...before, ...payload, ...after]);
    return { bytes, start: before.length, end: before.length + payload.length };
  });

const variants = { chosen: kernels.decodeUtf8 ?? oracle, ...decoders };

describe('decodeUtf8', () => {
  for (const [name, decode] of Object.entries(variants)) {
    it(`${name}: the same text or the same refusal as a strict TextDecoder`, () => {
      fc.assert(
        fc.property(damaged, ({ bytes, start, end }) => {
          expect(decode(bytes, start, end)).toBe(oracle(bytes, start, end));
          // Chunks of a socket are Buffers, assembled messages are not.
          expect(decode(Buffer.from(bytes), start, end)).toBe(oracle(bytes, start, end));
        }),
        { numRuns: 2000 },
      );
    });
    it(`${name}: every size up to 300, ASCII and with one character that is not`, () => {
      for (let size = 0; size <= 300; size++) {
        const ascii = Buffer.alloc(size + 2, 'abcdefg');
        expect(decode(ascii, 1, size + 1)).toBe(oracle(ascii, 1, size + 1));
        if (size < 2) continue;
        ascii.write('é', Math.floor(size / 2));
        expect(decode(ascii, 1, size + 1)).toBe(oracle(ascii, 1, size + 1));
      }
    });
    it(`${name}: keeps a byte order mark and a replacement character that was sent`, () => {
      const bytes = Buffer.from('\ufeffa\ufffdb'.repeat(40));
      expect(decode(bytes, 0, bytes.length)).toBe('\ufeffa\ufffdb'.repeat(40));
    });
    it(`${name}: large texts`, () => {
      for (const text of ['x'.repeat(70_000), `${'x'.repeat(69_999)}é`, '€'.repeat(30_000)]) {
        const bytes = Buffer.from(`..${text}..`);
        expect(decode(bytes, 2, bytes.length - 2)).toBe(text);
      }
    });
  }
});

describe('isUtf8', () => {
  it('agrees with a strict TextDecoder', () => {
    fc.assert(
      fc.property(damaged, ({ bytes, start, end }) => {
        expect(kernels.isUtf8?.(bytes, start, end)).toBe(oracle(bytes, start, end) !== null);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('allocate', () => {
  const { allocate } = runtimeOf(buffer, timers, threads, { small: true, asciiFrom: 0, uncleared: true }).kernels ?? {};
  it.each([0, 1, 64, 65, 4096, 131_071, 131_072, 1_048_576])(
    '%i bytes are memory of their own, and none of it is anybody else’s',
    (size) => {
      const pieces = Array.from({ length: 12 }, () => allocate?.(size) ?? new Uint8Array(size + 1));
      pieces.forEach((piece, index) => void piece.fill(index));
      pieces.forEach((piece, index) => {
        expect(Object.getPrototypeOf(piece)).toBe(Uint8Array.prototype);
        expect([piece.length, piece.byteOffset, piece.buffer.byteLength]).toEqual([size, 0, size]);
        expect(piece.every((byte) => byte === index)).toBe(true);
      });
    },
  );
});
