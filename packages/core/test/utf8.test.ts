/** The validator against TextDecoder and against a table of RFC 3629, exhaustively for two and three bytes. */

import { incompleteTail, Utf8Validator } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUtf8, utf8Length } from '../src/utf8.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function decodes(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** RFC 3629 section 4, as ranges of what may follow what. */
const table: [number, number][][] = [
  [[0x00, 0x7f]],
  [[0xc2, 0xdf], [0x80, 0xbf]],
  [[0xe0, 0xe0], [0xa0, 0xbf], [0x80, 0xbf]],
  [[0xe1, 0xec], [0x80, 0xbf], [0x80, 0xbf]],
  [[0xed, 0xed], [0x80, 0x9f], [0x80, 0xbf]],
  [[0xee, 0xef], [0x80, 0xbf], [0x80, 0xbf]],
  [[0xf0, 0xf0], [0x90, 0xbf], [0x80, 0xbf], [0x80, 0xbf]],
  [[0xf1, 0xf3], [0x80, 0xbf], [0x80, 0xbf], [0x80, 0xbf]],
  [[0xf4, 0xf4], [0x80, 0x8f], [0x80, 0xbf], [0x80, 0xbf]],
]; // biome-ignore format: a table

/** Index of the first byte that no continuation could save, or -1; and whether the end is between two code points. */
function naive(bytes: Uint8Array): { bad: number; whole: boolean } {
  let rows = table;
  let depth = 0;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    rows = rows.filter((row) => {
      const range = row[depth];
      return range !== undefined && byte >= range[0] && byte <= range[1];
    });
    if (rows.length === 0) return { bad: index, whole: false };
    depth++;
    if (rows.every((row) => row.length === depth)) {
      rows = table;
      depth = 0;
    }
  }
  return { bad: -1, whole: depth === 0 };
}

function validate(bytes: Uint8Array): { bad: number; whole: boolean } {
  const validator = new Utf8Validator();
  const bad = validator.push(bytes, 0, bytes.length);
  return { bad, whole: validator.end() };
}

describe('exhaustive', () => {
  it('every two-byte sequence, at once and split, agrees with the table and with TextDecoder', () => {
    const wrong: string[] = [];
    const validator = new Utf8Validator();
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        const bytes = Uint8Array.of(a, b);
        const expected = naive(bytes);
        const got = validate(bytes);
        validator.reset();
        const first = validator.push(bytes, 0, 1);
        const split = first >= 0 ? first : validator.push(bytes, 1, 2);
        if (
          got.bad !== expected.bad ||
          split !== expected.bad ||
          got.whole !== expected.whole ||
          (got.bad < 0 && got.whole) !== decodes(bytes)
        ) {
          wrong.push(`${a.toString(16)} ${b.toString(16)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('every three-byte sequence with a high lead agrees with the table, whole and byte by byte', () => {
    const bytes = new Uint8Array(3);
    const whole = new Utf8Validator();
    const single = new Utf8Validator();
    let wrong = 0;
    let valid = 0;
    for (let a = 0xc0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        for (let c = 0; c < 256; c++) {
          bytes[0] = a;
          bytes[1] = b;
          bytes[2] = c;
          const expected = naive(bytes);
          whole.reset();
          single.reset();
          const got = whole.push(bytes, 0, 3);
          let bad = -1;
          for (let index = 0; index < 3 && bad < 0; index++) bad = single.push(bytes, index, index + 1);
          if (got !== expected.bad || bad !== expected.bad || whole.end() !== expected.whole || single.end() !== expected.whole) wrong++;
          if (got < 0 && whole.end()) valid++;
        }
      }
    }
    expect(wrong).toBe(0);
    // 61440 code points of three bytes, and 1920 of two bytes before one of 128 ASCII characters.
    expect(valid).toBe(63488 - 2048 + 1920 * 128);
  }, 60_000);

  it('every four-byte lead and second byte', () => {
    const wrong: string[] = [];
    for (let a = 0xe0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        for (const tail of [
          [0x80, 0x80],
          [0xbf, 0xbf],
          [0x7f, 0x80],
          [0x80, 0xc0],
          [0x80, 0x7f],
        ]) {
          const bytes = Uint8Array.of(a, b, ...tail);
          const expected = naive(bytes);
          const got = validate(bytes);
          if (got.bad !== expected.bad || (got.bad < 0 && got.whole) !== decodes(bytes)) wrong.push(Buffer.from(bytes).toString('hex'));
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('every code point is valid, at every split', () => {
    const validator = new Utf8Validator();
    let wrong = 0;
    for (let point = 0; point <= 0x10ffff; point += point < 0x3000 || (point > 0xd700 && point < 0xe100) ? 1 : 97) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const bytes = new TextEncoder().encode(String.fromCodePoint(point));
      for (let cut = 0; cut <= bytes.length; cut++) {
        const first = validator.push(bytes, 0, cut);
        const tail = incompleteTail(bytes, 0, cut);
        if (first !== -1 || tail !== (cut === bytes.length ? 0 : cut) || validator.end() !== (tail === 0)) wrong++;
        if (validator.push(bytes, cut, bytes.length) !== -1 || !validator.end()) wrong++;
      }
    }
    expect(wrong).toBe(0);
  });
});

/** Mostly valid text, with damage in one place or none. */
const anyBytes = fc
  .tuple(
    fc.array(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 20, maxLength: 90 })),
      { maxLength: 6 },
    ),
    fc.option(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 }))),
  )
  .map(([parts, damage]) => {
    const bytes = new TextEncoder().encode(parts.join(''));
    if (damage !== null && bytes.length > 0) bytes[damage[0] % bytes.length] = damage[1];
    return bytes;
  });

describe('properties', () => {
  it('the first bad byte does not depend on the split or the alignment', () => {
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat(60), { maxLength: 12 }), fc.nat(7), (bytes, cuts, shift) => {
        const expected = naive(bytes);
        const memory = new Uint8Array(bytes.length + shift + 3).fill(0xff);
        memory.set(bytes, shift);
        const moved = new Uint8Array(memory.buffer, shift, bytes.length + 3);
        expect(validate(bytes)).toEqual({ bad: expected.bad, whole: expected.bad < 0 && expected.whole });
        const validator = new Utf8Validator();
        let at = 0;
        let bad = -1;
        for (const cut of [...cuts, bytes.length]) {
          const to = Math.min(bytes.length, at + cut);
          bad = validator.push(moved, at, to);
          if (bad >= 0) break;
          at = to;
        }
        expect(bad).toBe(expected.bad);
        if (bad < 0) expect(validator.end()).toBe(expected.whole);
        expect(bad < 0 && validator.end()).toBe(decodes(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  it('a bad byte is found wherever it stands in a long text', () => {
    for (const filler of ['a', 'é', '€', '😀', 'aé']) {
      const text = new TextEncoder().encode(filler.repeat(60));
      for (let index = 0; index < text.length; index++) {
        for (const byte of [0xff, 0x80, 0xc0, 0xf5]) {
          const bytes = Uint8Array.from(text);
          bytes[index] = byte;
          expect(validate(bytes).bad).toBe(naive(bytes).bad);
        }
      }
    }
  });

  it('whole code points: text before an incomplete tail decodes, and the tail is what is missing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.nat(160), (text, cut) => {
        const bytes = new TextEncoder().encode(text);
        const end = Math.min(cut, bytes.length);
        const tail = incompleteTail(bytes, 0, end);
        expect(tail).toBeLessThanOrEqual(3);
        expect(text.startsWith(strict.decode(bytes.subarray(0, end - tail)))).toBe(true);
        if (tail > 0) expect(decodes(bytes.subarray(0, end))).toBe(false);
      }),
    );
  });

  it('decodeUtf8 is TextDecoder without its exceptions and its BOM removal', () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(5), fc.boolean(), (bytes, shift, bom) => {
        const body = bom ? Uint8Array.of(0xef, 0xbb, 0xbf, ...bytes) : bytes;
        const memory = Buffer.alloc(body.length + shift + 2, 0xff);
        memory.set(body, shift);
        const expected = decodes(body) ? strict.decode(body) : null;
        expect(decodeUtf8(memory, shift, shift + body.length)).toBe(expected);
        if (expected !== null) expect(utf8Length(expected)).toBe(body.length);
      }),
      { numRuns: 2000 },
    );
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf), 0, 3)).toBe('\ufeff');
    expect(decodeUtf8(new Uint8Array(0), 0, 0)).toBe('');
    expect(utf8Length('a\ud800')).toBe(4);
    expect(utf8Length('\udc00\ud800')).toBe(6);
  });
});

describe('fail-fast', () => {
  it('refuses at the first impossible byte', () => {
    for (const [hex, bad] of [
      ['f490', 1],
      ['f5', 0],
      ['eda0', 1],
      ['e080', 1],
      ['c0', 0],
      ['c1', 0],
      ['f080', 1],
      ['80', 0],
      ['61c328', 2],
      ['e28228', 2],
      ['f09f9828', 3],
      ['ff', 0],
    ] as const) {
      // biome-ignore format: a table
      expect([hex, validate(Buffer.from(hex, 'hex')).bad]).toEqual([hex, bad]);
    }
  });

  it('once refused, everything is refused until reset()', () => {
    const validator = new Utf8Validator();
    expect(validator.push(Uint8Array.of(0x61, 0xff, 0x61), 0, 3)).toBe(1);
    expect(validator.end()).toBe(false);
    expect(validator.push(Uint8Array.of(0x61, 0x61), 1, 2)).toBe(1);
    expect(validator.push(Uint8Array.of(0x61), 1, 1)).toBe(-1);
    expect(validator.end()).toBe(false);
    validator.reset();
    expect(validator.push(Uint8Array.of(0x61), 0, 1)).toBe(-1);
    expect(validator.end()).toBe(true);
  });

  it('empty pushes change nothing, in the middle of a sequence too', () => {
    const validator = new Utf8Validator();
    const euro = Uint8Array.of(0xe2, 0x82, 0xac);
    for (let index = 0; index < 3; index++) {
      expect(validator.push(euro, index, index)).toBe(-1);
      expect(validator.push(euro, index, index + 1)).toBe(-1);
      expect(validator.end()).toBe(index === 2);
    }
  });

  it('reset() in the middle of a sequence forgets it', () => {
    const validator = new Utf8Validator();
    validator.push(Uint8Array.of(0xf4), 0, 1);
    validator.reset();
    expect(validator.end()).toBe(true);
    expect(validator.push(Uint8Array.of(0xe2, 0xbf, 0xbf), 0, 3)).toBe(-1);
    expect(validator.push(Uint8Array.of(0x82), 0, 1)).toBe(0);
  });
});
