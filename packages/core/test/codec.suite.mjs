/**
 * The frame codec on every runtime: word kernels, the UTF-8 scanner and headers against loops that use neither.
 *
 * The exhaustive tests run on Node only; this is what differs between engines and between kinds of buffers.
 */

import {
  applyMask,
  checkFrameHeader,
  copyMasked,
  createFrameHeader,
  decodeFrameHeader,
  encodeFrameHeader,
  FrameParser,
  incompleteTail,
  isViolation,
  parseClosePayload,
  serializeClosePayload,
  serializeFrame,
  Utf8Validator,
} from '@ferrywire/core/frame';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const sizes = [0, 1, 3, 4, 5, 16, 31, 47, 48, 49, 63, 64, 65, 79, 80, 81, 125, 126, 127, 257, 1000, 70_001];

/** @param {number} size @param {number} seed */
function bytesOf(size, seed) {
  let state = seed;
  return Uint8Array.from({ length: size }, () => {
    state = (state * 48_271) % 0x7fffffff;
    return state & 255;
  });
}

/** @param {Uint8Array} bytes @param {number} key @param {number} phase */
function masked(bytes, key, phase) {
  return bytes.map((byte, index) => byte ^ (key >>> (24 - 8 * ((index + phase) & 3))));
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function same(a, b) {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

test('applyMask and copyMasked equal the octet loop, at every alignment, in plain and in pooled memory', () => {
  const wrong = [];
  for (const size of sizes) {
    for (const key of [0, 1, 0x37fa213d, 0xfedcba98]) {
      for (let shift = 0; shift < 4; shift++) {
        for (let phase = 0; phase < 4; phase++) {
          const memory = bytesOf(size + 8, size + shift + 1);
          const wanted = masked(memory.subarray(shift + 1, shift + 1 + size), key, phase);
          const copy = new Uint8Array(size + 3);
          const next = copyMasked(memory, shift + 1, shift + 1 + size, copy, 3, key, phase);
          const pooled = globalThis.Buffer?.from(memory) ?? Uint8Array.from(memory);
          const after = applyMask(pooled, shift + 1, shift + 1 + size, key, phase);
          const ok =
            next === ((phase + size) & 3) &&
            after === next &&
            same(copy.subarray(3), wanted) &&
            same(pooled.subarray(shift + 1, shift + 1 + size), wanted) &&
            same(pooled.subarray(0, shift + 1), memory.subarray(0, shift + 1)) &&
            same(pooled.subarray(shift + 1 + size), memory.subarray(shift + 1 + size));
          if (!ok) wrong.push(`${size} ${key} ${shift} ${phase}`);
        }
      }
    }
  }
  assert.equal(wrong, []);
});

test('Utf8Validator agrees with TextDecoder, and finds the byte that is bad', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** @param {Uint8Array} bytes */
  const decodes = (bytes) => {
    try {
      strict.decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
  const wrong = [];
  for (const unit of ['a', 'é', '€', '😀', 'plain text and é €, 😀.']) {
    const text = new TextEncoder().encode(unit.repeat(Math.ceil(150 / unit.length)));
    for (let at = 0; at < text.length; at++) {
      for (const byte of [0x80, 0xbf, 0xc0, 0xe2, 0xed, 0xf4, 0xff, 0x41]) {
        const bytes = Uint8Array.from(text);
        bytes[at] = byte;
        const validator = new Utf8Validator();
        const bad = validator.push(bytes, 0, bytes.length);
        const single = new Utf8Validator();
        let sooner = -1;
        for (let index = 0; index < bytes.length && sooner < 0; index++) sooner = single.push(bytes, index, index + 1);
        if ((bad < 0 && validator.end()) !== decodes(bytes) || bad !== sooner) wrong.push(`${unit} ${at} ${byte}`);
        if (bad >= 0 && !decodes(bytes.subarray(0, bad - incompleteTail(bytes, 0, bad)))) wrong.push(`${unit} ${at} ${byte} before ${bad}`);
      }
    }
  }
  assert.equal(wrong, []);
});

test('headers round trip, and are judged alike whole and byte by byte', () => {
  const lengths = [
    0n,
    125n,
    126n,
    65_535n,
    65_536n,
    2n ** 31n,
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];
  const context = /** @type {const} */ ({ role: 'server', allowedRsv: 4, messageOpen: false, maxFrameSize: 2 ** 32 });
  const wrong = [];
  for (let opcode = 0; opcode < 16; opcode++) {
    for (let rsv = 0; rsv < 8; rsv++) {
      for (const length of lengths) {
        for (const maskKey of [undefined, 0x80000001]) {
          const bytes = new Uint8Array(14);
          const size = encodeFrameHeader(maskKey === undefined ? { opcode, rsv } : { opcode, rsv, maskKey }, length, bytes, 0);
          const header = createFrameHeader();
          const decoded = decodeFrameHeader(bytes, 0, size, header);
          const payloadLength = length < 2n ** 53n ? Number(length) : Number.POSITIVE_INFINITY;
          const verdict = checkFrameHeader(header, context);
          const right =
            decoded === size && header.opcode === opcode && header.rsv === rsv && header.fin && header.maskKey === (maskKey ?? 0);
          let first = null;
          for (let seen = 0; seen <= size && first === null; seen++) {
            decodeFrameHeader(bytes, 0, seen, header);
            first = checkFrameHeader(header, context);
          }
          if (!right || (header.payloadLength !== payloadLength && first === null) || first !== verdict)
            wrong.push(`${opcode} ${rsv} ${length} ${maskKey}`);
        }
      }
    }
  }
  assert.equal(wrong, []);
});

test('FrameParser gives back what serializeFrame wrote, from any chunks', () => {
  const payloads = sizes.map((size) => bytesOf(size, size + 5));
  const frames = payloads.map((payload, index) =>
    serializeFrame(index % 2 === 0 ? { opcode: 2, payload } : { opcode: 2, payload, maskKey: 0xdeadbeef }),
  );
  const wire = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  frames.reduce((at, frame) => {
    wire.set(frame, at);
    return at + frame.length;
  }, 0);
  for (const step of [1, 2, 3, 7, 100, 4096, wire.length]) {
    const parser = new FrameParser();
    const parsed = [];
    for (let at = 0; at < wire.length; at += step) parsed.push(...parser.push(wire.subarray(at, at + step)));
    assert.is(parsed.length, payloads.length);
    assert.ok(parsed.every((frame, index) => same(frame.payload, /** @type {Uint8Array} */ (payloads[index]))));
    assert.is(parser.incomplete, false);
  }
});

test('close payloads round trip and bad ones are named', () => {
  for (const reason of ['', 'plain', '\ufeffBOM', 'é€😀'.repeat(10)]) {
    assert.equal(parseClosePayload(serializeClosePayload(1000, reason)), { code: 1000, reason });
  }
  for (const [bytes, code] of /** @type {const} */ ([
    [[3], 'WS_CLOSE_PAYLOAD'],
    [[3, 0xed], 'WS_CLOSE_CODE'],
    [[3, 0xe8, 0xed, 0xa0, 0x80], 'WS_INVALID_UTF8'],
  ])) {
    const result = parseClosePayload(Uint8Array.from(bytes));
    assert.is(isViolation(result) && result.code, code);
  }
});

test.run();
