/** The decoder with less than a header, byte by byte, and the numbers that the wire has (RFC 6455 section 5.2). */
import { createFrameHeader, decodeFrameHeader, encodeFrameHeader, type FrameHeader, Opcode, serializeFrame } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from './connection-helpers.ts';

/** As a frame before may have left it. */
const dirty = (): FrameHeader => ({ fin: true, rsv: 7, opcode: 9, masked: true, maskKey: 0x12345678, payloadLength: 77, lengthBytes: 2 });

it('opcodes are those of the table', () => {
  expect({ ...Opcode }).toEqual({ Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 });
});

it('a new header says nothing', () => {
  expect(createFrameHeader()).toEqual({ fin: false, rsv: 0, opcode: 0, masked: false, maskKey: 0, payloadLength: 0, lengthBytes: 0 });
});

describe('a header that is not complete', () => {
  const unknown = { masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 0 };
  it.each([
    ['', { fin: false, rsv: 0, opcode: -1, ...unknown }],
    ['81', { fin: true, rsv: 0, opcode: 1, ...unknown }],
    ['80', { fin: true, rsv: 0, opcode: 0, ...unknown }],
    ['7f', { fin: false, rsv: 7, opcode: 15, ...unknown }],
    ['00', { fin: false, rsv: 0, opcode: 0, ...unknown }],
    ['82 7e', { fin: true, rsv: 0, opcode: 2, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 2 }],
    ['82 fe 01', { fin: true, rsv: 0, opcode: 2, masked: true, maskKey: 0, payloadLength: -1, lengthBytes: 2 }],
    ['82 fe 01 02', { fin: true, rsv: 0, opcode: 2, masked: true, maskKey: 0, payloadLength: 258, lengthBytes: 2 }],
    ['82 85', { fin: true, rsv: 0, opcode: 2, masked: true, maskKey: 0, payloadLength: 5, lengthBytes: 0 }],
    ['82 7f', { fin: true, rsv: 0, opcode: 2, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 8 }],
    ['82 7f 00 00 00', { fin: true, rsv: 0, opcode: 2, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 8 }],
    ['82 7f 80', { fin: true, rsv: 0, opcode: 2, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 8, lengthMsb: true }],
    ['82 7f 7f', { fin: true, rsv: 0, opcode: 2, masked: false, maskKey: 0, payloadLength: -1, lengthBytes: 8 }],
  ])('%j', (digits, expected) => {
    for (const offset of [0, 3]) {
      const bytes = new Uint8Array(40).fill(0xee);
      bytes.set(hex(digits), offset);
      const header = dirty();
      expect(decodeFrameHeader(bytes, offset, offset + hex(digits).length, header)).toBe(0);
      expect(header).toEqual(expected);
      expect('lengthMsb' in header).toBe('lengthMsb' in expected);
    }
  });
  it('forgets the top bit of the frame before', () => {
    const header = dirty();
    decodeFrameHeader(hex('82 7f 80'), 0, 3, header);
    decodeFrameHeader(hex('82 7f 00'), 0, 3, header);
    expect(header.lengthMsb).toBe(false);
  });
});

describe('long lengths', () => {
  it.each([
    [2 ** 32, '82 7f 00000001 00000000'],
    [2 ** 32 + 5, '82 7f 00000001 00000005'],
    [3 * 2 ** 32 + 7, '82 7f 00000003 00000007'],
    [2 ** 53 - 1, '82 7f 001fffff ffffffff'],
    [65_536, '82 7f 00000000 00010000'],
    [65_535, '82 7e ffff'],
    [126, '82 7e 007e'],
    [125, '82 7d'],
  ])('%i', (length, digits) => {
    for (const value of [length, BigInt(length)]) {
      const target = new Uint8Array(14);
      const size = encodeFrameHeader({ opcode: 2 }, value, target, 0);
      expect(toHex(target.subarray(0, size))).toBe(toHex(hex(digits)));
    }
    const header = createFrameHeader();
    expect(decodeFrameHeader(hex(digits), 0, hex(digits).length, header)).toBe(hex(digits).length);
    expect(header.payloadLength).toBe(length);
  });
  it('of a payload that is there', () => {
    expect(toHex(serializeFrame({ opcode: 1, payload: hex('41'), lengthBytes: 2 }))).toBe('817e000141');
    expect(toHex(serializeFrame({ opcode: 1, payload: hex('41'), maskKey: 0x01020304 }))).toBe('81810102030440');
  });
});
