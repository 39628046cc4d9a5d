/**
 * Both codecs through one suite, on every runtime: RFC 7692 section 7.2.3, steps, ends of messages, agreement with each other and with a
 * decoder of their own kind.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeflateCodec } from '../codec.ts';
import { pakoCodec } from '../pako.ts';
import { chooseCodec, probeCodec } from '../probe.ts';
import { zlibCodec } from '../zlib.ts';
import {
  ample,
  ascii,
  concat,
  cut,
  deflateAll,
  deflateMessage,
  hex,
  inflateMessage,
  inflatePush,
  mixture,
  Output,
  random,
  TAIL,
  toHex,
} from './harness.ts';
import { referenceInflate } from './reference.ts';

const codecs: readonly (readonly [string, DeflateCodec])[] = [
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
];
const HELLO = toHex(ascii('Hello'));

/** Payloads without tail, in order through one decompressor, and what they decode to. */
const MESSAGES: readonly (readonly [string, readonly (readonly [payload: string, content: string])[]])[] = [
  ['7.2.3.1 one block', [['f248cdc9c90700', HELLO]]],
  [
    '7.2.3.2 shared window',
    [
      ['f248cdc9c90700', HELLO],
      ['f200110000', HELLO],
      ['f200110000', HELLO],
    ],
  ],
  ['7.2.3.3 no compression', [['000500faff48656c6c6f00', HELLO]]],
  ['7.2.3.4 BFINAL=1', [['f348cdc9c9070000', HELLO]]],
  [
    '7.2.3.4 and a message that refers to it',
    [
      ['f348cdc9c9070000', HELLO],
      ['f200110000', HELLO],
      ['f348cdc9c9070000', HELLO],
      ['f248cdc9c90700', HELLO],
    ],
  ],
  [
    'BFINAL=1 with nothing behind it',
    [
      ['f348cdc9c90700', HELLO],
      ['f200110000', HELLO],
    ],
  ],
  ['BFINAL=1, then another block', [['f3480500cac9c90700', HELLO]]],
  [
    'BFINAL=1 on the empty block whose rest is the tail',
    [
      ['f248cdc9c90704', HELLO],
      ['f200110000', HELLO],
    ],
  ],
  ['BFINAL=1 stored, twice', [['010200fdff4865010300fcff6c6c6f00', HELLO]]],
  ['7.2.3.5 two blocks', [['f24805000000ffffcac9c90700', HELLO]]],
  [
    '7.2.3.6 empty messages',
    [
      ['00', ''],
      ['f248cdc9c90700', HELLO],
      ['00', ''],
      ['f200110000', HELLO],
    ],
  ],
  ['an empty fixed block', [['0200', '']]],
  ['twenty empty stored blocks', [[`${'000000ffff'.repeat(20)}f248cdc9c90700`, HELLO]]],
  ['three flushes', [['cacf4b5500000000ffff2a29cf5700000000ffff2ac9284a4d0500', toHex(ascii('one two three'))]]],
];
const REFUSED: readonly (readonly [string, string])[] = [
  ['reserved block type', '07'],
  ['garbage', 'ffffffffffffffff'],
  ['stored block with lengths that do not match', '000500000048656c6c6f00'],
  ['distance before the first byte', 'f200110000'],
  ['garbage behind BFINAL=1', 'f348cdc9c9070000ffffffff'],
  ['over-subscribed code lengths', '04ffffffffffffffffffffffffffffffff'],
  ['cut in a fixed block', 'f248cdc9'],
  ['cut before the header of the empty block', 'f248cdc9c907'],
  ['cut in a stored block', '000500faff4865'],
  ['cut in a stored block with as many bytes missing as the tail has', '000900f6ff48656c6c6f'],
  ['cut in the header of a stored block', '000500'],
  ['cut in a dynamic header', '04c0b10d'],
  ['cut in a block behind BFINAL=1', 'f348cdc9c90700f248cd'],
  ['tail not removed', 'f248cdc9c907000000ffff'],
];

for (const [name, codec] of codecs) {
  test(`${name}: the probe passes`, () => {
    assert.ok(probeCodec(codec));
    assert.is(chooseCodec(codec, codec === zlibCodec ? pakoCodec : zlibCodec), codec);
  });

  // A window of 256 bytes is one of 512 to zlib, and to its port, without a word: the peer could not decode what refers farther back.
  test(`${name}: no window below 512 bytes is offered for what it compresses`, () => {
    assert.equal(codec.windowBits, { inflate: [8, 15], deflate: [9, 15] });
  });

  for (const [title, messages] of MESSAGES) {
    test(`${name}: ${title}, at every split and room`, () => {
      for (const size of [1, 2, 3, 1000]) {
        for (const room of [1, 2, 3, 1000]) {
          const raw = codec.createInflate(15);
          for (const [payload, content] of messages) {
            const bytes = hex(payload);
            const pieces: Uint8Array[] = [];
            for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
            const decoded = inflateMessage(raw, pieces, () => room);
            assert.ok(decoded !== null, `refused at pieces of ${size}, room ${room}`);
            assert.is(toHex(decoded ?? new Uint8Array(0)), content);
          }
          raw.close();
        }
      }
    });
  }

  for (const [title, payload] of REFUSED) {
    test(`${name}: refuses ${title}, at every split and room`, () => {
      const raw = codec.createInflate(15);
      for (const size of [1, 2, 3, 1000]) {
        for (const room of [1, 2, 1000]) {
          const bytes = hex(payload);
          const pieces: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
          assert.is(
            inflateMessage(raw, pieces, () => room),
            null,
            `accepted at pieces of ${size}, room ${room}`,
          );
          assert.is(raw.push(hex('00'), 0, 1, new Output()), null);
          raw.reset();
          assert.is(toHex(inflateMessage(raw, [hex('f248cdc9c90700')]) ?? new Uint8Array(0)), HELLO);
          raw.reset();
        }
      }
      raw.close();
    });
  }

  test(`${name}: the tail through push gives the same as finish`, () => {
    const raw = codec.createInflate(15);
    for (const payload of ['f248cdc9c90700', 'f200110000', 'f348cdc9c9070000', 'f200110000']) {
      const out = new Output();
      assert.ok(inflatePush(raw, hex(payload), out));
      assert.ok(inflatePush(raw, TAIL, out));
      assert.is(toHex(out.bytes), HELLO);
    }
    raw.close();
  });

  test(`${name}: a window of 32 KiB survives BFINAL=1`, () => {
    const next = random(7);
    const first = mixture(next, 100_000);
    const deflate = codec.createDeflate(15, 9, 9);
    const inflate = codec.createInflate(15);
    const final = hex('010000ffff'); // an empty stored block with BFINAL=1
    for (let round = 0; round < 5; round++) {
      const message = round === 0 ? first : first.subarray(first.length - 20_000);
      const payload = concat([deflateAll(deflate, [message]), final, hex('00')]);
      const decoded = inflateMessage(inflate, cut(next, payload), ample);
      assert.equal(decoded, message);
      assert.ok(round === 0 || payload.length < message.length / 10, 'refers to the message before');
    }
    deflate.close();
    inflate.close();
  });

  test(`${name}: a step is bounded in input and in output`, () => {
    const raw = codec.createInflate(15);
    const deflate = codec.createDeflate(15, 6, 8);
    const bomb = deflateMessage(deflate, [new Uint8Array(8 << 20)]);
    const out = new Output();
    out.room = 1 << 30;
    let largest = 0;
    for (let at = 0; at < bomb.length; ) {
      const before = out.total;
      const step = raw.push(bomb, at, bomb.length, out);
      assert.ok(step !== null);
      at += step?.consumed ?? bomb.length;
      largest = Math.max(largest, out.total - before);
    }
    assert.ok(largest <= 64 * 1024, `${largest} bytes in one step`);
    const blocks = new Uint8Array(5 << 16); // stored blocks that hold nothing
    for (let at = 0; at < blocks.length; at += 5) blocks.set([0, 0, 0, 0xff, 0xff], at);
    raw.reset();
    out.room = 1 << 30;
    const step = raw.push(blocks, 0, blocks.length, out);
    assert.ok(step !== null && step.consumed > 0 && step.consumed <= 64 * 1024 && step.status === 'more');
    const input = new Uint8Array(1 << 20);
    const compressed = deflate.push(input, 0, input.length, true, out);
    assert.ok(compressed.consumed > 0 && compressed.consumed <= 64 * 1024 && compressed.status === 'more');
    raw.close();
    deflate.close();
  });

  test(`${name}: flushes, with and without new input`, () => {
    const raw = codec.createDeflate(15, 6, 8);
    const empty = new Uint8Array(0);
    assert.is(toHex(deflateAll(raw, [empty])), '000000ffff');
    assert.is(toHex(deflateAll(raw, [ascii('Hello')])), 'f248cdc9c907000000ffff');
    assert.is(toHex(deflateAll(raw, [ascii('Hello')])), 'f2001100000000ffff');
    assert.is(toHex(deflateAll(raw, [empty])), '000000ffff');
    assert.is(toHex(deflateAll(raw, [empty], () => 1)), '000000ffff');
    raw.reset();
    assert.is(toHex(deflateAll(raw, [ascii('Hel'), ascii('lo')], () => 1)), 'f248cdc9c907000000ffff');
    raw.close();
  });

  test(`${name}: level and memLevel are heeded`, () => {
    const message = mixture(random(4), 50_000);
    const sizeAt = (level: number, memLevel: number): number => {
      const raw = codec.createDeflate(15, level, memLevel);
      const { length } = deflateAll(raw, [message]);
      raw.close();
      return length;
    };
    assert.ok(sizeAt(0, 8) > message.length, 'level 0 stores');
    assert.ok(sizeAt(9, 8) < sizeAt(1, 8), 'level 9 takes less room than level 1');
    assert.is.not(sizeAt(6, 1), sizeAt(6, 9));
  });

  test(`${name}: the bytes do not depend on the room`, () => {
    const message = mixture(random(3), 200_000);
    const raw = codec.createDeflate(15, 6, 8);
    const whole = deflateAll(raw, [message]);
    for (const rooms of [() => 1000, () => 65_536, random(5)]) {
      raw.reset();
      const scale = rooms() < 1 ? 3000 : 1;
      assert.equal(
        deflateAll(raw, [message], () => Math.floor(rooms() * scale)),
        whole,
      );
    }
    raw.close();
  });

  test(`${name}: use after close is refused and harmless (S23)`, () => {
    const out = new Output();
    out.room = 100;
    const inflate = codec.createInflate(15);
    inflate.push(hex('f248'), 0, 2, out);
    inflate.close();
    inflate.close();
    inflate.reset();
    assert.is(inflate.push(hex('f248'), 0, 2, out), null);
    assert.is(inflate.finish?.(out), null);
    const deflate = codec.createDeflate(15, 6, 8);
    deflate.push(ascii('Hello'), 0, 5, false, out);
    deflate.close();
    deflate.close();
    deflate.reset();
    assert.throws(() => deflate.push(ascii('Hello'), 0, 5, true, out), /closed/);
  });
}

test('zlib: a buffer that was detached while it waits is an error, not the end of the process', () => {
  const out = new Output();
  out.room = 1 << 20;
  const deflate = zlibCodec.createDeflate(15, 6, 8);
  const input = mixture(random(1), 100_000);
  const { consumed } = deflate.push(input, 0, input.length, true, out);
  assert.ok(consumed > 0 && consumed < 100_000);
  structuredClone(input, { transfer: [input.buffer as ArrayBuffer] });
  assert.throws(() => deflate.push(input, consumed, 100_000, true, out), /detached/);
  assert.throws(() => deflate.push(input, consumed, input.length, true, out), /detached/);
  deflate.close();
});

for (const [from, compressor] of codecs) {
  for (const [to, decompressor] of codecs) {
    for (let windowBits = 9; windowBits <= 15; windowBits++) {
      for (const takeover of [true, false]) {
        test(`${from} to ${to}, window ${windowBits}, ${takeover ? 'with' : 'without'} context takeover`, () => {
          const next = random(windowBits * 2 + Number(takeover));
          const deflate = compressor.createDeflate(windowBits, 1 + Math.floor(next() * 9), 1 + Math.floor(next() * 9));
          const inflate = decompressor.createInflate(windowBits);
          let window: Uint8Array = new Uint8Array(0);
          let farthest = 0;
          for (let round = 0; round < 8; round++) {
            const message = mixture(next, Math.floor(next() ** 2 * 50_000));
            const payload = deflateMessage(deflate, cut(next, message), () => 1 + Math.floor(next() * 5000));
            assert.equal(
              inflateMessage(inflate, cut(next, payload), () => Math.floor(next() * 5000)),
              message,
            );
            const reference = referenceInflate(concat([payload, TAIL]), window);
            assert.equal(reference.output, message);
            farthest = Math.max(farthest, reference.maxDistance);
            if (takeover) {
              const both = concat([window, message]);
              window = both.slice(Math.max(0, both.length - 32_768));
            } else {
              deflate.reset();
              inflate.reset();
            }
          }
          assert.ok(farthest > 0 && farthest <= 2 ** windowBits, `distance ${farthest} with a window of ${2 ** windowBits}`);
          deflate.close();
          inflate.close();
        });
      }
    }
  }
}

for (const [name, codec] of codecs) {
  test(`${name}: a distance beyond the negotiated window is exact at every split and room`, () => {
    const next = random(99);
    const message = mixture(next, 60_000);
    const deflate = zlibCodec.createDeflate(15, 9, 9);
    const payload = deflateMessage(deflate, [message]);
    assert.ok(referenceInflate(concat([payload, TAIL])).maxDistance > 512);
    for (let round = 0; round < 20; round++) {
      const inflate = codec.createInflate(9);
      assert.equal(
        inflateMessage(inflate, cut(next, payload), () => Math.floor(next() * (round % 2 === 0 ? 20 : 70_000))),
        message,
      );
      inflate.close();
    }
    deflate.close();
  });
}

test.run();
