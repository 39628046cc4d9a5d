/** The header codec against an oracle written as a list of (byte, rule) pairs, exhaustively where the space is small. */

import type { FrameContext, FrameHeader, FrameInit, LenientFlags, ViolationCode } from '@ferrywire/core/frame';
import {
  checkFrameHeader,
  createFrameHeader,
  decodeFrameHeader,
  encodeFrameHeader,
  frameHeaderSize,
  Opcode,
  serializeFrame,
  violations,
} from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const TWO_53 = 2n ** 53n;

/** What the RFC says about a header's bytes: the rule broken, and how many bytes it takes to see it. */
function oracle(bytes: readonly number[], context: FrameContext): { code: ViolationCode; after: number } | null {
  const [b0 = 0, b1 = 0] = bytes;
  const lenient: LenientFlags = context.lenient ?? {};
  const opcode = b0 % 16;
  const fin = b0 >= 128;
  const rsv = Math.floor(b0 / 16) % 8;
  const isControl = [8, 9, 10].includes(opcode);
  const isFirstData = [1, 2].includes(opcode);
  const short = b1 % 128;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  let length = BigInt(short);
  if (extra > 0) length = bytes.slice(2, 2 + extra).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const all = 2 + extra;
  const bitsNotOwned = [4, 2, 1].filter((bit) => (rsv & bit) > 0 && ((context.allowedRsv & bit) === 0 || !isFirstData));
  const masked = b1 >= 128;
  const longForm = extra > 0;
  const notMinimal = (extra === 2 && length < 126n) || (extra === 8 && length < 65536n);
  const rules: [boolean, ViolationCode, number][] = [
    [![0, 1, 2, 8, 9, 10].includes(opcode), 'WS_INVALID_OPCODE', 1],
    [bitsNotOwned.length > 0, 'WS_RESERVED_BITS', 1],
    [isControl && !fin, 'WS_CONTROL_FRAGMENTED', 1],
    [opcode === 0 && !context.messageOpen, 'WS_UNEXPECTED_CONTINUATION', 1],
    [isFirstData && context.messageOpen, 'WS_EXPECTED_CONTINUATION', 1],
    [context.role === 'server' && !masked && !lenient.unmaskedClientFrames, 'WS_MASK_REQUIRED', 2],
    [context.role === 'client' && masked && !lenient.maskedServerFrames, 'WS_MASK_FORBIDDEN', 2],
    [isControl && longForm && !lenient.nonMinimalLength, 'WS_CONTROL_TOO_LONG', 2],
    [extra === 8 && length >= 2n ** 63n, 'WS_LENGTH_TOO_LARGE', 3],
    [notMinimal && !lenient.nonMinimalLength, 'WS_LENGTH_NOT_MINIMAL', all],
    [isControl && length > 125n, 'WS_CONTROL_TOO_LONG', all],
    [!isControl && (Number(length) > context.maxFrameSize || length >= TWO_53), 'WS_MESSAGE_TOO_BIG', all],
  ];
  const broken = rules.find(([applies]) => applies);
  return broken === undefined ? null : { code: broken[1], after: broken[2] };
}

function judge(bytes: Uint8Array, start: number, end: number, context: FrameContext, header = createFrameHeader()) {
  const size = decodeFrameHeader(bytes, start, end, header);
  return { size, code: checkFrameHeader(header, context)?.code ?? null, header };
}

const open = { allowedRsv: 0, messageOpen: false, maxFrameSize: Number.POSITIVE_INFINITY } as const;
const client: FrameContext = { role: 'client', ...open };
const server: FrameContext = { role: 'server', ...open };

function contexts(maxFrameSize: number): FrameContext[] {
  const all: FrameContext[] = [];
  for (const role of ['client', 'server'] as const) {
    for (const allowedRsv of [0, 4, 3, 7]) {
      for (const messageOpen of [false, true]) all.push({ role, allowedRsv, messageOpen, maxFrameSize });
    }
  }
  return all;
}

describe('first two bytes', () => {
  it('S25 every RSV x opcode x fin x mask x length code, in every context, is judged as the table says (RFC 6455 5.2, 5.4, 5.5)', () => {
    const header = createFrameHeader();
    const bytes = new Uint8Array(2);
    const wrong: string[] = [];
    let judged = 0;
    for (const context of contexts(100)) {
      for (let first = 0; first < 256; first++) {
        for (let second = 0; second < 256; second++) {
          bytes[0] = first;
          bytes[1] = second;
          const verdict = oracle([first, second], context);
          // A long length is not there yet: only what two bytes show counts.
          const wanted = verdict !== null && verdict.after <= 2 ? verdict.code : null;
          decodeFrameHeader(bytes, 0, 2, header);
          const got = checkFrameHeader(header, context)?.code ?? null;
          judged++;
          if (got !== wanted) wrong.push(`${first.toString(16)} ${second.toString(16)} ${JSON.stringify(context)}: ${got}, not ${wanted}`);
        }
      }
    }
    expect(wrong.slice(0, 10)).toEqual([]);
    expect(judged).toBe(16 * 65536);
  });

  it('every first byte alone is judged for what it shows, and for nothing else', () => {
    const wrong: string[] = [];
    for (const context of contexts(0)) {
      for (let first = 0; first < 256; first++) {
        const masked = context.role === 'server' ? 0x80 : 0;
        const verdict = oracle([first, masked], context);
        const { size, code, header } = judge(Uint8Array.of(first), 0, 1, context);
        if (size !== 0 || code !== (verdict?.code ?? null) || header.payloadLength !== -1 || header.lengthBytes !== 0) {
          wrong.push(`${first} ${JSON.stringify(context)} ${code}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('fields are those of RFC 6455 5.2', () => {
    const header = createFrameHeader();
    const wrong: string[] = [];
    for (let first = 0; first < 256; first++) {
      for (let second = 0; second < 256; second++) {
        const size = decodeFrameHeader(Uint8Array.of(first, second), 0, 2, header);
        const bits = first.toString(2).padStart(8, '0');
        const short = second % 128;
        const fits = short < 126 && second < 128;
        const same =
          size === (fits ? 2 : 0) &&
          header.fin === (bits[0] === '1') &&
          header.rsv === Number.parseInt(bits.slice(1, 4), 2) &&
          header.opcode === Number.parseInt(bits.slice(4), 2) &&
          header.masked === second > 127 &&
          header.maskKey === 0 &&
          header.lengthBytes === (short === 126 ? 2 : short === 127 ? 8 : 0) &&
          header.payloadLength === (short < 126 ? short : -1);
        if (!same) wrong.push(`${first} ${second} ${JSON.stringify(header)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('no byte at all: nothing known, nothing judged', () => {
    for (const context of contexts(0)) {
      const { size, code, header } = judge(Uint8Array.of(0xff), 1, 1, context);
      expect([size, code, header.payloadLength, header.opcode]).toEqual([0, null, -1, -1]);
    }
  });
});

const boundaryLengths: bigint[] = [
  0n, 1n, 124n, 125n, 126n, 127n, 128n, 255n, 256n, 65534n, 65535n, 65536n, 65537n,
  ...[31n, 32n, 53n, 62n, 63n].flatMap((power) => [2n ** power - 1n, 2n ** power, 2n ** power + 1n]),
  2n ** 64n - 2n,
  2n ** 64n - 1n,
]; // biome-ignore format: one list

describe('lengths', () => {
  it('S6 decodes every boundary exactly up to 2^53 - 1 and as Infinity above', () => {
    for (const length of boundaryLengths) {
      for (const maskKey of [undefined, 0, 0x37fa213d, 0xffffffff]) {
        const bytes = new Uint8Array(20);
        const frame: FrameInit = maskKey === undefined ? { opcode: 2 } : { opcode: 2, maskKey };
        const size = encodeFrameHeader(frame, length, bytes, 3);
        const header = createFrameHeader();
        expect(decodeFrameHeader(bytes, 3, 3 + size, header)).toBe(size);
        expect(header.payloadLength).toBe(length < TWO_53 ? Number(length) : Number.POSITIVE_INFINITY);
        expect(header.lengthBytes).toBe(length < 126n ? 0 : length < 65536n ? 2 : 8);
        expect(header.maskKey).toBe(maskKey ?? 0);
        expect(header.masked).toBe(maskKey !== undefined);
        expect(header.lengthMsb === true).toBe(length >= 2n ** 63n);
      }
    }
  });

  it('S6 refuses what is too large before any payload: 1009, or 1002 when the most significant bit is set, whatever maxFrameSize is', () => {
    for (const maxFrameSize of [0, 125, 65535, 65536, 2 ** 31, 2 ** 53 - 1, Number.POSITIVE_INFINITY]) {
      for (const length of boundaryLengths) {
        const bytes = new Uint8Array(14);
        const size = encodeFrameHeader({ opcode: 2, fin: false, maskKey: 1 }, length, bytes, 0);
        const context: FrameContext = { ...server, maxFrameSize };
        let expected: string | null = null;
        if (length >= 2n ** 63n) expected = 'WS_LENGTH_TOO_LARGE 1002';
        else if (length >= TWO_53 || length > BigInt(maxFrameSize === Number.POSITIVE_INFINITY ? TWO_53 : maxFrameSize)) {
          expected = 'WS_MESSAGE_TOO_BIG 1009';
        }
        const header = createFrameHeader();
        // Without the mask key already.
        expect(decodeFrameHeader(bytes, 0, size - 4, header)).toBe(0);
        const early = checkFrameHeader(header, context);
        expect(early === null ? null : `${early.code} ${early.closeCode}`).toBe(expected);
        expect(decodeFrameHeader(bytes, 0, size, header)).toBe(size);
        expect(checkFrameHeader(header, context)).toBe(early);
      }
    }
  });

  it('S6 refuses every non-minimal form (RFC 6455 5.2) unless lenient.nonMinimalLength', () => {
    const lenient = { nonMinimalLength: true };
    for (const [length, lengthBytes, minimal] of [
      [0, 2, false],
      [1, 2, false],
      [125, 2, false],
      [126, 2, true],
      [65535, 2, true],
      [0, 8, false],
      [125, 8, false],
      [126, 8, false],
      [65535, 8, false],
      [65536, 8, true],
    ] as const) {
      // biome-ignore format: a table
      const bytes = new Uint8Array(14);
      const size = encodeFrameHeader({ opcode: 1, lengthBytes }, length, bytes, 0);
      expect(judge(bytes, 0, size, client).code).toBe(minimal ? null : 'WS_LENGTH_NOT_MINIMAL');
      expect(judge(bytes, 0, size - 1, client).code).toBe(null);
      expect(judge(bytes, 0, size, { ...client, lenient }).code).toBe(null);
      expect(judge(bytes, 0, size, { ...client, lenient, maxFrameSize: 1 }).code).toBe(length > 1 ? 'WS_MESSAGE_TOO_BIG' : null);
    }
  });

  it('shows a set most significant bit at the first byte of the length', () => {
    const { size, code, header } = judge(Uint8Array.of(0x82, 0x7f, 0x80), 0, 3, client);
    expect([size, code, header.payloadLength]).toEqual([0, 'WS_LENGTH_TOO_LARGE', -1]);
    expect(judge(Uint8Array.of(0x82, 0x7f, 0x7f), 0, 3, client).code).toBe(null);
  });

  it('a header object that saw such a length says nothing about it afterwards', () => {
    const header = createFrameHeader();
    expect(judge(Uint8Array.of(0x82, 0x7f, 0x80), 0, 3, client, header).code).toBe('WS_LENGTH_TOO_LARGE');
    for (const bytes of [[], [0x82], [0x82, 0x7f], [0x82, 0x7f, 0x01], [0x82, 0x05], [0x82, 0x7e, 0x01, 0x00]]) {
      expect(judge(Uint8Array.from(bytes), 0, bytes.length, client, header).code).toBe(null);
    }
  });

  it('a control frame with a long length code fails at its second byte; with nonMinimalLength its length decides', () => {
    for (const opcode of [8, 9, 10]) {
      for (const lengthBytes of [2, 8] as const) {
        for (const length of [0, 125, 126, 70000]) {
          const bytes = new Uint8Array(14);
          const size = encodeFrameHeader({ opcode, lengthBytes }, length, bytes, 0);
          const lenient = { nonMinimalLength: true };
          expect(judge(bytes, 0, 2, client).code).toBe('WS_CONTROL_TOO_LONG');
          expect(judge(bytes, 0, size, client).code).toBe('WS_CONTROL_TOO_LONG');
          expect(judge(bytes, 0, 2, { ...client, lenient }).code).toBe(null);
          const low = lengthBytes === 2 ? length & 0xffff : length;
          expect(judge(bytes, 0, size, { ...client, lenient }).code).toBe(low > 125 ? 'WS_CONTROL_TOO_LONG' : null);
        }
      }
    }
  });

  it('maxFrameSize does not bear on control frames', () => {
    for (const opcode of [8, 9, 10]) expect(judge(Uint8Array.of(0x80 | opcode, 125), 0, 2, { ...client, maxFrameSize: 0 }).code).toBe(null);
  });
});

describe('leniency', () => {
  const headers = { masked: [0x82, 0x80, 1, 2, 3, 4], unmasked: [0x82, 0x00] };
  it('S24 masks: required of clients, forbidden to servers, each with its own flag (RFC 6455 5.1)', () => {
    const flags: LenientFlags[] = [
      {},
      { unmaskedClientFrames: true },
      { maskedServerFrames: true },
      { nonMinimalLength: true, reservedCloseCodes: true },
    ];
    const seen = flags.map((lenient) =>
      (['server', 'client'] as const).flatMap((role) =>
        Object.values(headers).map((bytes) => judge(Uint8Array.from(bytes), 0, bytes.length, { ...open, role, lenient }).code),
      ),
    );
    expect(seen).toEqual([
      [null, 'WS_MASK_REQUIRED', 'WS_MASK_FORBIDDEN', null],
      [null, null, 'WS_MASK_FORBIDDEN', null],
      [null, 'WS_MASK_REQUIRED', null, null],
      [null, 'WS_MASK_REQUIRED', 'WS_MASK_FORBIDDEN', null],
    ]);
  });
});

const anyHeader = fc
  .record({
    first: fc.integer({ min: 0, max: 255 }),
    second: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(126, 127, 254, 255)),
    rest: fc.oneof(
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      fc
        .tuple(fc.constantFrom(...boundaryLengths), fc.boolean())
        .map(([length, two]) =>
          Uint8Array.from(
            [...(two ? [] : bigBytes(length)), ...bigBytes(length & 0xffffn).slice(6), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].slice(0, 12),
          ),
        ),
    ),
  })
  .map(({ first, second, rest }) => Uint8Array.of(first, second, ...rest));

const anyContext: fc.Arbitrary<FrameContext> = fc.record({
  role: fc.constantFrom('client' as const, 'server' as const),
  allowedRsv: fc.integer({ min: 0, max: 7 }),
  messageOpen: fc.boolean(),
  maxFrameSize: fc.constantFrom(0, 125, 1000, 65536, 2 ** 32, 2 ** 53 - 1, Number.POSITIVE_INFINITY),
  lenient: fc.record({
    unmaskedClientFrames: fc.boolean(),
    maskedServerFrames: fc.boolean(),
    nonMinimalLength: fc.boolean(),
    reservedCloseCodes: fc.boolean(),
  }),
});

function bigBytes(value: bigint): number[] {
  return Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(56 - 8 * index)) & 255n));
}

describe('any split', () => {
  it('fails at the byte that breaks the rule, with the same verdict from then on', () => {
    fc.assert(
      fc.property(anyHeader, anyContext, (bytes, context) => {
        const verdict = oracle([...bytes], context);
        const reused = createFrameHeader();
        for (let seen = 0; seen <= bytes.length; seen++) {
          const { size, code, header } = judge(bytes, 0, seen, context, reused);
          if (size > 0 && size < seen) break;
          expect(code).toBe(verdict !== null && seen >= verdict.after ? verdict.code : null);
          expect(code).toBe(judge(bytes, 0, seen, context).code);
          // Judging a header says nothing about the next one.
          expect(header).toBe(reused);
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('decoding is total: no bytes make it throw, and the size never passes the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(20), fc.nat(20), (bytes, start, end) => {
        const size = decodeFrameHeader(bytes, Math.min(start, bytes.length), Math.min(end, bytes.length), createFrameHeader());
        expect(size === 0 || (size >= 2 && size <= 14)).toBe(true);
        expect(size).toBeLessThanOrEqual(Math.max(0, Math.min(end, bytes.length) - Math.min(start, bytes.length)));
      }),
      { numRuns: 2000 },
    );
  });
});

const anyInit = fc.record(
  {
    opcode: fc.integer({ min: 0, max: 15 }),
    fin: fc.boolean(),
    rsv: fc.integer({ min: 0, max: 7 }),
    maskKey: fc.integer({ min: 0, max: 0xffffffff }),
    lengthBytes: fc.constantFrom(0 as const, 2 as const, 8 as const),
  },
  { requiredKeys: ['opcode'] },
);
const anyLength = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(...boundaryLengths),
  fc.bigInt({ min: 0n, max: 70000n }),
);

describe('writer', () => {
  it('what it writes, legal or not, decodes to the same', () => {
    fc.assert(
      fc.property(anyInit, anyLength, fc.nat(5), (init, length, offset) => {
        const target = new Uint8Array(offset + 14 + 5).fill(0xaa);
        const size = encodeFrameHeader(init, length, target, offset);
        const form = init.lengthBytes ?? (length < 126n ? 0 : length < 65536n ? 2 : 8);
        expect(size).toBe(2 + form + (init.maskKey === undefined ? 0 : 4));
        expect([...target.subarray(0, offset), ...target.subarray(offset + size)].every((byte) => byte === 0xaa)).toBe(true);
        const short = Number(length & 0x7fn);
        if (form === 0 && short > 125) return; // Written as asked for, but it reads as a longer form.
        const header: FrameHeader = createFrameHeader();
        expect(decodeFrameHeader(target, offset, offset + size, header)).toBe(size);
        const { lengthMsb, ...read } = header;
        const written = form === 0 ? BigInt(short) : form === 2 ? length & 0xffffn : length;
        expect(read).toEqual({
          fin: init.fin ?? true,
          rsv: init.rsv ?? 0,
          opcode: init.opcode,
          masked: init.maskKey !== undefined,
          maskKey: init.maskKey ?? 0,
          payloadLength: written < TWO_53 ? Number(written) : Number.POSITIVE_INFINITY,
          lengthBytes: form,
        });
        expect(lengthMsb ?? false).toBe(form === 8 && length >= 2n ** 63n);
      }),
      { numRuns: 3000 },
    );
  });

  it('a number and a bigint of the same value are written alike', () => {
    for (const length of boundaryLengths.filter((length) => length < TWO_53)) {
      for (const lengthBytes of [undefined, 0, 2, 8] as const) {
        const frame: FrameInit = lengthBytes === undefined ? { opcode: 2 } : { opcode: 2, lengthBytes };
        const [a, b] = [new Uint8Array(14), new Uint8Array(14)];
        expect(encodeFrameHeader(frame, Number(length), a, 0)).toBe(encodeFrameHeader(frame, length, b, 0));
        expect(a).toEqual(b);
      }
    }
  });

  it('header sizes are the shortest that fit', () => {
    for (const [length, size] of [[0, 2], [125, 2], [126, 4], [65535, 4], [65536, 10], [2 ** 53 - 1, 10]] as const) {
      expect(frameHeaderSize(length, false)).toBe(size);
      expect(frameHeaderSize(length, true)).toBe(size + 4);
      expect(encodeFrameHeader({ opcode: 1 }, length, new Uint8Array(14), 0)).toBe(size);
    } // biome-ignore format: a table
  });

  it('misuse throws a RangeError that names the argument, and writes nothing', () => {
    const target = new Uint8Array(14);
    const cases: [FrameInit, number | bigint, number, RegExp][] = [
      [{ opcode: 16 }, 0, 0, /opcode/],
      [{ opcode: -1 }, 0, 0, /opcode/],
      [{ opcode: 1.5 }, 0, 0, /opcode/],
      [{ opcode: 1, rsv: 8 }, 0, 0, /rsv/],
      [{ opcode: 1 }, -1, 0, /payloadLength/],
      [{ opcode: 1 }, -1n, 0, /payloadLength/],
      [{ opcode: 1 }, Number.NaN, 0, /payloadLength/],
      [{ opcode: 1 }, 1.5, 0, /payloadLength/],
      [{ opcode: 1 }, 300.5, 0, /payloadLength/],
      [{ opcode: 1 }, 2 ** 64, 0, /payloadLength/],
      [{ opcode: 1 }, 2n ** 64n, 0, /payloadLength/],
      [{ opcode: 1 }, Number.POSITIVE_INFINITY, 0, /payloadLength/],
      [{ opcode: 1 }, 0, 13, /target/],
      [{ opcode: 1 }, 65536, 5, /target/],
      [{ opcode: 1 }, 0, -1, /target/],
    ];
    for (const [frame, length, offset, message] of cases) {
      const call = () => encodeFrameHeader(frame, length, target, offset);
      expect(call).toThrow(RangeError);
      expect(call).toThrow(message);
    }
    expect(target.every((byte) => byte === 0)).toBe(true);
  });

  it('serializeFrame writes the examples of RFC 6455 5.7 and leaves the payload alone', () => {
    const hello = new TextEncoder().encode('Hello');
    const hex = (frame: FrameInit) => Buffer.from(serializeFrame(frame)).toString('hex');
    expect(hex({ opcode: Opcode.Text, payload: hello })).toBe('810548656c6c6f');
    expect(hex({ opcode: Opcode.Text, payload: hello, maskKey: 0x37fa213d })).toBe('818537fa213d7f9f4d5158');
    expect(hex({ opcode: Opcode.Text, payload: hello.subarray(0, 3), fin: false })).toBe('010348656c');
    expect(hex({ opcode: Opcode.Continuation, payload: hello.subarray(3) })).toBe('80026c6f');
    expect(hex({ opcode: Opcode.Ping, payload: hello })).toBe('890548656c6c6f');
    expect(hex({ opcode: Opcode.Pong, payload: hello, maskKey: 0x37fa213d })).toBe('8a8537fa213d7f9f4d5158');
    expect(hex({ opcode: Opcode.Binary, payload: new Uint8Array(256) }).slice(0, 8)).toBe('827e0100');
    expect(hex({ opcode: Opcode.Binary, payload: new Uint8Array(65536) }).slice(0, 20)).toBe('827f0000000000010000');
    expect(hex({ opcode: 0xf, fin: false, rsv: 7, lengthBytes: 8 })).toBe('7f7f0000000000000000');
    expect(Buffer.from(hello).toString()).toBe('Hello');
  });
});

describe('violations', () => {
  it('each has its own code, a close code that may be sent or 1006, a section, and a sentence', () => {
    for (const [code, violation] of Object.entries(violations)) {
      expect(violation.code).toBe(code);
      expect([1002, 1006, 1007, 1008, 1009, 1011]).toContain(violation.closeCode);
      expect(violation.section).toMatch(/^RFC \d{4} \d+(\.\d+)*$/);
      expect(violation.message.length).toBeGreaterThan(10);
      expect(Object.isFrozen(violation)).toBe(true);
    }
    expect(Object.keys(violations)).toHaveLength(24);
  });
});
