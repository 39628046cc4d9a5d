/** Close payloads (RFC 6455 5.5.1, 7.4): every code there is, every length, reasons good and bad. */

import {
  checkPartialClosePayload,
  isSendableCloseCode,
  isViolation,
  parseClosePayload,
  serializeClosePayload,
  truncateReason,
} from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const legal = new Set<number>([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]);
for (let code = 3000; code < 5000; code++) legal.add(code);

const payloadOf = (code: number, ...rest: number[]) => Uint8Array.of(code >> 8, code & 255, ...rest);
function verdict(payload: Uint8Array, lenient?: Parameters<typeof parseClosePayload>[1]) {
  const result = parseClosePayload(payload, lenient);
  return isViolation(result) ? `${result.code} ${result.closeCode}` : result;
}

describe('codes', () => {
  it('all 65536: what may be sent, what is taken, and what is thrown at (RFC 6455 7.4, IANA)', () => {
    const wrong: number[] = [];
    for (let code = 0; code < 65536; code++) {
      const good = legal.has(code);
      const parsed = verdict(payloadOf(code));
      let sent: Uint8Array | string;
      try {
        sent = serializeClosePayload(code);
      } catch (error) {
        sent = error instanceof RangeError && /^code /.test(error.message) ? 'RangeError' : 'other';
      }
      const parsedRight = good
        ? typeof parsed === 'object' && parsed.code === code && parsed.reason === ''
        : parsed === 'WS_CLOSE_CODE 1002';
      const sentRight = good ? typeof sent === 'object' && Buffer.compare(sent, payloadOf(code)) === 0 : sent === 'RangeError';
      if (isSendableCloseCode(code) !== good || !parsedRight || !sentRight) wrong.push(code);
    }
    expect(wrong).toEqual([]);
  });

  it('what is not a code is not sendable', () => {
    for (const code of [1000.5, Number.NaN, Number.POSITIVE_INFINITY, -1000, 66536, 2 ** 32 + 1000, '1000' as unknown as number]) {
      expect(isSendableCloseCode(code)).toBe(false);
      expect(() => serializeClosePayload(code)).toThrow(RangeError);
    }
  });

  it('lenient.reservedCloseCodes takes 1000 to 2999 and nothing outside', () => {
    for (const code of [1004, 1005, 1006, 1015, 1016, 2999]) {
      expect(verdict(payloadOf(code), { reservedCloseCodes: true })).toEqual({ code, reason: '' });
      expect(verdict(payloadOf(code), { nonMinimalLength: true, maskedServerFrames: true, unmaskedClientFrames: true })).toBe(
        'WS_CLOSE_CODE 1002',
      );
    }
    for (const code of [0, 999, 5000, 65535]) expect(verdict(payloadOf(code), { reservedCloseCodes: true })).toBe('WS_CLOSE_CODE 1002');
  });
});

describe('parseClosePayload', () => {
  it('empty is 1005, one byte is a violation (RFC 6455 5.5.1, 7.1.5)', () => {
    expect(verdict(new Uint8Array(0))).toEqual({ code: 1005, reason: '' });
    for (let byte = 0; byte < 256; byte++) expect(verdict(Uint8Array.of(byte))).toBe('WS_CLOSE_PAYLOAD 1002');
  });

  it('a reason that is not UTF-8 is 1007, cut off sequences included (RFC 6455 8.1)', () => {
    for (const bad of [[0xff], [0xc3], [0x61, 0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]]) {
      expect(verdict(payloadOf(1000, ...bad))).toBe('WS_INVALID_UTF8 1007');
    }
  });

  it('a bad code comes before a bad reason', () => {
    expect(verdict(payloadOf(1005, 0xff))).toBe('WS_CLOSE_CODE 1002');
  });

  it('keeps a BOM and NUL', () => {
    expect(verdict(payloadOf(3000, 0xef, 0xbb, 0xbf, 0x61, 0))).toEqual({ code: 3000, reason: '\ufeffa\0' });
  });

  it('round trip of every sendable code and any reason that fits', () => {
    fc.assert(
      fc.property(fc.constantFrom(...legal), fc.string({ unit: 'binary', maxLength: 200 }), (code, text) => {
        const reason = truncateReason(text);
        const payload = serializeClosePayload(code, reason);
        expect(payload.length).toBeLessThanOrEqual(125);
        expect(parseClosePayload(payload)).toEqual({ code, reason });
      }),
    );
  });

  it('a payload judged byte by byte fails where the whole does, and not before', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 20 }), fc.boolean(), (bytes, goodCode) => {
        if (goodCode) bytes.set([0x03, 0xe8]);
        const whole = parseClosePayload(bytes);
        const partial = checkPartialClosePayload(bytes, bytes.length);
        if (partial !== null) expect(whole).toBe(partial);
        else if (isViolation(whole)) expect(whole.code).toBe('WS_INVALID_UTF8'); // Cut off at the end: no byte is wrong.
        for (let size = 0; size < bytes.length; size++) {
          const sooner = checkPartialClosePayload(bytes, size);
          if (sooner !== null) expect(sooner).toBe(partial);
        }
      }),
    );
    expect(checkPartialClosePayload(Uint8Array.of(3, 0xe8, 0xf4, 0x90), 4)?.code).toBe('WS_INVALID_UTF8');
    expect(checkPartialClosePayload(Uint8Array.of(3, 0xe8, 0xf4, 0x90), 3)).toBe(null);
    expect(checkPartialClosePayload(Uint8Array.of(3, 0xed), 2, { reservedCloseCodes: true })).toBe(null);
    expect(checkPartialClosePayload(Uint8Array.of(3, 0xed), 2)?.code).toBe('WS_CLOSE_CODE');
  });
});

describe('serializeClosePayload', () => {
  it('no code is an empty payload; a reason alone is misuse', () => {
    expect(serializeClosePayload()).toEqual(new Uint8Array(0));
    expect(serializeClosePayload(undefined, '')).toEqual(new Uint8Array(0));
    expect(() => serializeClosePayload(undefined, 'why')).toThrow(/^reason /);
  });

  it('takes 123 bytes of reason and no more, counted in UTF-8', () => {
    expect(serializeClosePayload(1000, 'x'.repeat(123)).length).toBe(125);
    expect(serializeClosePayload(1000, '€'.repeat(41)).length).toBe(125);
    for (const reason of ['x'.repeat(124), '€'.repeat(42), '😀'.repeat(31)]) {
      expect(() => serializeClosePayload(1000, reason)).toThrow(RangeError);
      expect(() => serializeClosePayload(1000, reason)).toThrow(/^reason .*123/);
    }
  });

  it('S8 a reason that is not a string is refused, so no memory is sent by mistake', () => {
    for (const reason of [new Uint8Array(8), 8, {}, null, new ArrayBuffer(8)]) {
      expect(() => serializeClosePayload(1000, reason as unknown as string)).toThrow(TypeError);
    }
  });

  it('a lone surrogate becomes U+FFFD', () => {
    expect(parseClosePayload(serializeClosePayload(1000, 'a\ud800b'))).toEqual({ code: 1000, reason: 'a\ufffdb' });
  });
});

describe('truncateReason', () => {
  it('keeps the longest prefix of whole code points within 123 bytes', () => {
    const size = (text: string) => Buffer.byteLength(text);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\ud800', '\udc00'), maxLength: 140 }), (text) => {
        const cut = truncateReason(text);
        expect(text.startsWith(cut)).toBe(true);
        expect(size(cut)).toBeLessThanOrEqual(123);
        if (cut !== text) {
          const next = String.fromCodePoint(text.codePointAt(cut.length) as number);
          expect(size(cut + next)).toBeGreaterThan(123);
          expect([...cut].join('')).toBe([...text].slice(0, [...cut].length).join(''));
        }
      }),
      { numRuns: 2000 },
    );
    expect(truncateReason('')).toBe('');
    expect(truncateReason('x'.repeat(200))).toBe('x'.repeat(123));
    expect(truncateReason(`${'x'.repeat(122)}😀`)).toBe('x'.repeat(122));
    expect(truncateReason(`${'x'.repeat(119)}😀`)).toBe(`${'x'.repeat(119)}😀`);
  });
});
