/** FrameParser: any split gives the same frames; memory follows the bytes that came, not the length declared. */

import type { FrameInit, ParsedFrame } from '@ferrywire/core/frame';
import { encodeFrameHeader, FrameParser, serializeFrame } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const anyFrame: fc.Arbitrary<FrameInit> = fc.record(
  {
    opcode: fc.integer({ min: 0, max: 15 }),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 10 }),
      fc.uint8Array({ minLength: 120, maxLength: 140 }),
      fc.uint8Array({ maxLength: 1500 }),
    ),
    fin: fc.boolean(),
    rsv: fc.integer({ min: 0, max: 7 }),
    maskKey: fc.integer({ min: 0, max: 0xffffffff }),
  },
  { requiredKeys: ['opcode', 'payload'] },
);

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

describe('FrameParser', () => {
  it('gives back any frames, legal or not, from any split', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 30 }), (frames, cuts) => {
        const wire = concat(frames.map(serializeFrame));
        const before = Uint8Array.from(wire);
        const parser = new FrameParser();
        const parsed: ParsedFrame[] = [];
        let at = 0;
        for (const cut of [...cuts, wire.length]) {
          parsed.push(...parser.push(wire.subarray(at, at + cut)));
          at += cut;
        }
        expect(wire).toEqual(before);
        expect(parser.violation).toBe(null);
        expect(parser.incomplete).toBe(false);
        expect(parsed.map(({ header, payload }) => ({ ...header, payload }))).toEqual(
          frames.map(({ opcode, payload = new Uint8Array(0), fin = true, rsv = 0, maskKey }) => ({
            opcode, fin, rsv, payload,
            masked: maskKey !== undefined,
            maskKey: maskKey ?? 0,
            payloadLength: payload.length,
            lengthBytes: payload.length < 126 ? 0 : payload.length < 65536 ? 2 : 8,
          })), // biome-ignore format: one object
        );
      }),
      { numRuns: 500 },
    );
  });

  it('byte by byte, empty chunks in between', () => {
    const wire = concat([
      serializeFrame({ opcode: 9 }),
      serializeFrame({ opcode: 2, payload: new Uint8Array(70_000).fill(7), maskKey: 0xdeadbeef }),
    ]);
    const parser = new FrameParser();
    const sizes: number[] = [];
    for (let at = 0; at < wire.length; at++) {
      for (const frame of parser.push(wire.subarray(at, at + 1))) {
        sizes.push(frame.payload.length);
        expect(frame.payload.every((byte) => byte === 7)).toBe(true);
      }
      if (at % 997 === 0) expect([...parser.push(new Uint8Array(0))]).toEqual([]);
    }
    expect(sizes).toEqual([0, 70_000]);
  });

  it('parses whether or not the result is iterated', () => {
    const parser = new FrameParser();
    const wire = serializeFrame({ opcode: 2, payload: new Uint8Array(10) });
    parser.push(concat([wire, wire.subarray(0, 5)]));
    expect(parser.incomplete).toBe(true);
    expect([...parser.push(wire.subarray(5))]).toHaveLength(1);
    expect(parser.incomplete).toBe(false);
  });

  it('payloads are copies: they do not change with the chunk, and pin none', () => {
    const parser = new FrameParser();
    const wire = serializeFrame({ opcode: 2, payload: Uint8Array.of(1, 2, 3) });
    const [frame] = parser.push(wire);
    wire.fill(0);
    expect(frame?.payload).toEqual(Uint8Array.of(1, 2, 3));
    expect(frame?.payload.buffer.byteLength).toBe(3);
  });

  it('S6 a declared length allocates nothing: refused over maxFrameSize, counted as it comes below', () => {
    for (const [length, code] of [
      [2n ** 31n - 1n, 'WS_MESSAGE_TOO_BIG'],
      [2n ** 31n + 1n, 'WS_MESSAGE_TOO_BIG'],
      [2n ** 32n, 'WS_MESSAGE_TOO_BIG'],
      [2n ** 53n, 'WS_MESSAGE_TOO_BIG'],
      [2n ** 63n - 1n, 'WS_MESSAGE_TOO_BIG'],
      [2n ** 63n, 'WS_LENGTH_TOO_LARGE'],
      [2n ** 64n - 1n, 'WS_LENGTH_TOO_LARGE'],
    ] as const) {
      // biome-ignore format: a table
      const header = new Uint8Array(14);
      const size = encodeFrameHeader({ opcode: 2, maskKey: 5 }, length, header, 0);
      for (const step of [1, size]) {
        const parser = new FrameParser();
        const good = serializeFrame({ opcode: 1, payload: new Uint8Array(3) });
        expect([...parser.push(good)]).toHaveLength(1);
        for (let at = 0; at < size; at += step) expect([...parser.push(header.subarray(at, at + step))]).toEqual([]);
        expect(parser.violation?.code).toBe(code);
        expect([...parser.push(good)]).toEqual([]);
      }
    }
    // Below the limit: a gigabyte declared, a kilobyte there.
    const before = process.memoryUsage().arrayBuffers;
    const parsers = Array.from({ length: 100 }, () => new FrameParser({ maxFrameSize: 2 ** 31 }));
    const header = new Uint8Array(14);
    const size = encodeFrameHeader({ opcode: 2 }, 2 ** 30, header, 0);
    for (const parser of parsers) {
      expect([...parser.push(header.subarray(0, size))]).toEqual([]);
      expect([...parser.push(new Uint8Array(1000))]).toEqual([]);
      expect(parser.violation).toBe(null);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8_000_000);
  });

  it('with no limit a frame may have 2^53 - 1 bytes, which is as far as numbers count', () => {
    const header = new Uint8Array(14);
    for (const [length, code] of [
      [Number.MAX_SAFE_INTEGER, undefined],
      [2n ** 53n, 'WS_MESSAGE_TOO_BIG'],
    ] as const) {
      const parser = new FrameParser({ maxFrameSize: Number.POSITIVE_INFINITY });
      const size = encodeFrameHeader({ opcode: 2 }, length, header, 0);
      expect([...parser.push(header.subarray(0, size))]).toEqual([]);
      expect(parser.violation?.code).toBe(code);
      expect(parser.incomplete).toBe(true);
    }
  });

  it('frames before the one that is too large come out of the same push', () => {
    const parser = new FrameParser({ maxFrameSize: 4 });
    const four = serializeFrame({ opcode: 2, payload: new Uint8Array(4) });
    const five = serializeFrame({ opcode: 2, payload: new Uint8Array(5) });
    expect([...parser.push(concat([four, four, five, four]))]).toHaveLength(2);
    expect(parser.violation?.closeCode).toBe(1009);
  });

  it('misuse: a limit that is no number', () => {
    for (const maxFrameSize of [-1, Number.NaN]) expect(() => new FrameParser({ maxFrameSize })).toThrow(/maxFrameSize/);
  });
});
