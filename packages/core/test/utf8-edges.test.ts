/** UTF-8 where the ways to look at it meet: runs of ASCII of every length and position, bounds of the range looked at, sizes of text. */
import { incompleteTail, Utf8Validator } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { decodeUtf8, utf8Length } from '../src/utf8.ts';
import { utf8 } from './connection-helpers.ts';

/** `size` letters in the middle of memory full of what is not ASCII, so that who looks too far sees it. */
function letters(size: number, before: number): Uint8Array {
  const memory = new Uint8Array(before + size + 40).fill(0xff);
  for (let at = 0; at < size; at++) memory[before + at] = 0x61 + (at % 26);
  return memory;
}

describe('runs of ASCII', () => {
  it.each([0, 1, 2, 3, 5])('a bad byte is found at its place, whatever stands before it (memory from byte %i on)', (offset) => {
    const validator = new Utf8Validator();
    const wrong: string[] = [];
    for (let size = 0; size <= 72; size++) {
      const bytes = letters(size, 8).subarray(offset);
      const start = 8 - offset;
      if (validator.push(bytes, start, start + size) !== -1 || !validator.end()) wrong.push(`${size} letters`);
      for (let bad = 0; bad < size; bad += 1 + (size >> 5)) {
        const letter = bytes[start + bad] as number;
        for (const byte of [0x80, 0xc0, 0xff]) {
          bytes[start + bad] = byte;
          const at = validator.push(bytes, start, start + size);
          validator.reset();
          if (at !== start + bad) wrong.push(`${byte} at ${bad} of ${size}: ${at}`);
        }
        bytes[start + bad] = letter;
      }
    }
    expect(wrong).toEqual([]);
  });

  it('a letter of two, three and four bytes between them, wherever it stands', () => {
    const validator = new Utf8Validator();
    const wrong: string[] = [];
    for (const letter of ['é', '€', '😀']) {
      for (let before = 0; before <= 50; before++) {
        for (const after of [0, 1, 7, 8, 9, 31, 32, 50]) {
          const text = `${'a'.repeat(before)}${letter}${'b'.repeat(after)}`;
          const bytes = new Uint8Array(before + after + 12).fill(0xff);
          const content = utf8(text);
          bytes.set(content, 3);
          if (validator.push(bytes, 3, 3 + content.length) !== -1 || !validator.end()) wrong.push(text);
          if (decodeUtf8(bytes, 3, 3 + content.length) !== text) wrong.push(`decode ${text}`);
          // Without its last byte it is bad where the next letter stands, or not whole at the end.
          const cut = before + utf8(letter).length - 1;
          bytes.copyWithin(3 + cut, 3 + cut + 1, 3 + content.length);
          const at = validator.push(bytes, 3, 3 + content.length - 1);
          if (after > 0 ? at !== 3 + cut : at !== -1 || validator.end()) wrong.push(`cut ${text}: ${at}`);
          validator.reset();
          if (decodeUtf8(bytes, 3, 3 + content.length - 1) !== null) wrong.push(`decode cut ${text}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('after reset() nothing is left of the text before', () => {
    const validator = new Utf8Validator();
    const beginnings = [[0xe0], [0xed], [0xf0], [0xf4], [0xf0, 0x90], [0xff], [0xc2]];
    for (const beginning of beginnings) {
      validator.push(Uint8Array.from(beginning), 0, beginning.length);
      expect(validator.end()).toBe(false);
      validator.reset();
      expect(validator.end()).toBe(true);
      expect(validator.push(utf8('aé€😀'), 0, 10)).toBe(-1);
      expect(validator.end()).toBe(true);
      expect(validator.push(Uint8Array.of(0xe1, 0x80), 0, 2)).toBe(-1);
      expect(validator.push(Uint8Array.of(0xbf), 0, 1)).toBe(-1);
      expect(validator.end()).toBe(true);
    }
  });
});

describe('incompleteTail', () => {
  it('is what an incomplete letter at the end takes, and never looks before the start', () => {
    for (const text of ['a', 'é', '€', '😀']) {
      const content = utf8(text);
      for (let have = 0; have <= content.length; have++) {
        const bytes = Uint8Array.from([0x61, ...content.subarray(0, have), 0xf0, 0xff]);
        const tail = have < content.length ? have : 0;
        expect(incompleteTail(bytes, 0, 1 + have), `${have} of ${text}`).toBe(tail);
        // The letter began before the start: none of it is ours.
        for (let start = 2; start <= 1 + have; start++) expect(incompleteTail(bytes, start, 1 + have)).toBe(0);
        expect(incompleteTail(bytes, 1, 1 + have)).toBe(tail);
      }
    }
    expect(incompleteTail(new Uint8Array(0), 0, 0)).toBe(0);
  });
});

describe('the size of a text as UTF-8', () => {
  it.each([
    ['', 0],
    ['\u0000\u007f', 2],
    ['\u0080', 2],
    ['\u07ff', 2],
    ['\u0800', 3],
    ['\uffff', 3],
    ['\ud7ff\ue000', 6],
    ['\u{10000}\u{10ffff}', 8],
    ['\ud800', 3],
    ['\udc00', 3],
    ['\udc00\ud800', 6],
    ['\ud800\ud800\udc00', 7],
    ['\ud800a', 4],
    ['\u0800\udc00', 6],
    ['\u0080\udc00x', 6],
    ['é\ud83d\ude00€', 9],
  ])('%j', (text, size) => {
    expect(utf8Length(text)).toBe(size);
    expect(utf8(text).length).toBe(size);
  });
});
