/**
 * The entries of the security list that are about compression: S4, S22, S26 (S5 is in negotiation.test.ts, S23 in transform.test.ts and the
 * codec suite), and mutated streams.
 */
import { deflateRawSync } from 'node:zlib';
import type { InboundTransform } from '@ferrywire/core';
import { clientDeflate, type DeflateCodec, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ascii, concat, cut, deflateMessage, mixture, Output, random, receive, send, TAIL } from '../dist/suite/harness.js';
import { referenceInflate } from '../dist/suite/reference.js';

const MIB = 1 << 20;
const STEP = 64 * 1024;
const codecs: [string, DeflateCodec][] = [
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
];

function open(codec: DeflateCodec, takeover: boolean): { transform: InboundTransform; dispose: () => void } {
  const accepted = serverDeflate({ codec, serverNoContextTakeover: !takeover, clientNoContextTakeover: !takeover }).accept([], []);
  if (accepted === null) throw new Error('declined');
  return { transform: accepted.extension.inbound('server', () => {}), dispose: () => accepted.extension.dispose?.() };
}

describe.each(codecs)('%s', (_name, codec) => {
  const deflate = codec.createDeflate(15, 9, 9);
  const bomb = deflateMessage(deflate, [new Uint8Array(64 * MIB)]);
  const more = deflateMessage(deflate, [new Uint8Array(64 * MIB)]); // refers to the window of the first
  deflate.close();

  it.each([1, 7, 1000, Number.POSITIVE_INFINITY])('S4: a bomb of 64 MiB stops at a limit of 1 MiB, in fragments of %d bytes', (size) => {
    const { transform, dispose } = open(codec, true);
    const out = new Output();
    let fed = 0;
    let status = 'need';
    transform.begin('binary', 4);
    // As a connection does it: the room is what the limit leaves, and 'more' without room is one byte too many.
    for (let start = 0; start < bomb.length && status === 'need'; start += size) {
      const end = Math.min(bomb.length, start + size);
      for (let at = start; at < end || status === 'more'; ) {
        out.room = MIB - out.total;
        const step = transform.push(bomb, at, end, out);
        if (!('consumed' in step)) throw new Error(step.message);
        at += step.consumed;
        fed += step.consumed;
        status = step.status;
        if (status === 'more' && out.total === MIB) break;
      }
    }
    expect(status).toBe('more');
    expect(out.total).toBe(MIB);
    expect(fed).toBeLessThan(MIB / 1000 + STEP);
    dispose();
  });

  it('S4: across context takeover the second message is bounded as well', () => {
    const { transform, dispose } = open(codec, true);
    expect(receive(transform, [bomb], () => 64 * MIB)).toHaveLength(64 * MIB);
    const out = new Output();
    transform.begin('binary', 4);
    let at = 0;
    for (let calls = 0; calls < 1000 && out.total < MIB; calls++) {
      out.room = MIB - out.total;
      const step = transform.push(more, at, more.length, out);
      if (!('consumed' in step)) throw new Error(step.message);
      at += step.consumed;
    }
    out.room = 0;
    expect(transform.push(more, at, more.length, out)).toMatchObject({ status: 'more' });
    expect(out.total).toBe(MIB);
    expect(at).toBeLessThan(MIB / 1000 + STEP);
    dispose();
  });

  it('S4: a message of exactly the limit is not one of more than the limit', () => {
    const { transform, dispose } = open(codec, false);
    const compressor = codec.createDeflate(15, 6, 8);
    for (const size of [1, 100, 4096, 16_384, 16_385, 49_152, 65_536, MIB]) {
      for (const surplus of [0, 1]) {
        compressor.reset();
        const payload = deflateMessage(compressor, [mixture(random(size), size + surplus)]);
        const out = new Output();
        transform.begin('binary', 4);
        let at = 0;
        let status: string;
        do {
          out.room = size - out.total;
          const step = transform.push(payload, at, payload.length, out);
          if (!('consumed' in step)) throw new Error(step.message);
          at += step.consumed;
          status = step.status;
          // Input may remain that holds no output: only when nothing moves any more, output is left.
          if (out.room === 0 && status === 'more' && step.consumed === 0) break;
        } while (status === 'more');
        expect([size, surplus, status]).toEqual([size, surplus, surplus === 0 ? 'need' : 'more']);
        if (surplus === 0) expect(transform.finish(out)).toBe('need');
        else {
          out.room = 1;
          expect(transform.push(payload, at, payload.length, out)).toMatchObject({ consumed: payload.length - at, status: 'need' });
          expect(transform.finish(out)).toBe('need');
        }
        expect(out.total).toBe(size + surplus);
      }
    }
    compressor.close();
    dispose();
  });

  it('S22: blocks with BFINAL=1 cost a restart each, and a step makes few of them', () => {
    const roomy = (): Output => Object.assign(new Output(), { room: MIB });
    // Two bytes and no output, so many that one step could take them all.
    const empty = new Uint8Array(16_384).map((_, i) => (i % 2 === 0 ? 0x03 : 0x00));
    const inflate = codec.createInflate(15);
    for (let at = 0, steps = 0; at < empty.length; steps++) {
      const step = inflate.push(empty, at, empty.length, roomy());
      if (step === null) throw new Error('it is DEFLATE');
      expect(step.consumed).toBeLessThanOrEqual(2 * 257);
      expect(step.status).toBe(at + step.consumed < empty.length ? 'more' : 'need');
      at += step.consumed;
      expect(steps).toBeLessThan(64);
    }
    // 200 times a few bytes that make 3000, which never fill the space there is: output ends a step as well.
    const some = concat(Array.from({ length: 200 }, () => deflateRawSync(new Uint8Array(3000))));
    let total = 0;
    for (let at = 0; at < some.length || total < 200 * 3000; ) {
      const out = roomy();
      const step = inflate.push(some, at, some.length, out);
      if (step === null) throw new Error('it is DEFLATE');
      at += step.consumed;
      total += out.total;
      expect(out.total).toBeLessThanOrEqual(20 * 1024);
      expect(step.consumed + out.total).toBeGreaterThan(0);
    }
    expect(total).toBe(200 * 3000);
    inflate.close();
  });

  it('S22: BFINAL=1, empty blocks and missing tails lose nothing: each prefix is refused or was complete', () => {
    const next = random(22);
    const compressor = codec.createDeflate(15, 6, 8);
    const final = Uint8Array.of(0x01, 0x00, 0x00, 0xff, 0xff);
    for (let round = 0; round < 6; round++) {
      compressor.reset();
      const first = mixture(next, 200);
      const second = mixture(next, 200);
      const payload = concat([deflateMessage(compressor, [first]), TAIL, final, deflateMessage(compressor, [second])]);
      for (let length = 1; length <= payload.length; length++) {
        const { transform, dispose } = open(codec, true);
        const prefix = payload.slice(0, length);
        const result = receive(transform, cut(next, prefix));
        let expected: Uint8Array | number;
        try {
          expected = referenceInflate(concat([prefix, TAIL])).output;
          // A cut may turn the tail itself into content; a message that ends in order gets none from it.
          const content = concat([first, second]);
          if (!expected.every((byte, at) => byte === content[at])) expected = 1007;
        } catch {
          // The one form that is taken beyond the RFC's: whole streams that end with BFINAL=1 and nothing behind it.
          const boundary = beforeFinal(payload).length + final.length;
          expected = length === boundary ? first : 1007;
        }
        expect(result, `prefix of ${length}`).toEqual(expected);
        dispose();
      }
    }
    compressor.close();

    /** The part of `payload` before the block with BFINAL=1. */
    function beforeFinal(payload: Uint8Array): Uint8Array {
      for (let at = 4; at + final.length <= payload.length; at++) {
        if (final.every((byte, index) => payload[at + index] === byte) && TAIL.every((byte, index) => payload[at - 4 + index] === byte)) {
          return payload.subarray(0, at);
        }
      }
      throw new Error('no block with BFINAL=1');
    }
  });

  it('mutated streams never throw, hang or exceed the room', () => {
    const next = random(44);
    const compressor = codec.createDeflate(15, 6, 8);
    const seeds = [0, 1, 6, 9].map((level) => {
      const one = codec.createDeflate(15, level, 8);
      const payload = deflateMessage(one, [mixture(next, 600)]);
      one.close();
      return payload;
    });
    compressor.close();
    const outcomes = { intact: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'drop', 'cut')), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.constantFrom(1, 13, 4000),
        fc.boolean(),
        (seed, mutations, cuts, room, takeover) => {
          let bytes = [...seed];
          for (const [where, byte, how] of mutations) {
            const at = where % (bytes.length + 1);
            if (how === 'cut') bytes = bytes.slice(0, at);
            else bytes.splice(at, how === 'insert' ? 0 : 1, ...(how === 'drop' ? [] : [byte]));
          }
          const payload = Uint8Array.from(bytes);
          const whole = run([payload], 1 << 20);
          const places = [...cuts.map((one) => one % (payload.length + 1)), payload.length].sort((a, b) => a - b);
          const pieces = places.map((end, index) => payload.subarray(places[index - 1] ?? 0, end));
          expect(run(pieces, room)).toEqual(whole);
          outcomes[typeof whole === 'number' ? 'refused' : 'intact']++;

          function run(parts: readonly Uint8Array[], each: number): Uint8Array | number {
            const { transform, dispose } = open(codec, takeover);
            const result = receive(transform, parts, () => each);
            dispose();
            return result;
          }
        },
      ),
      { numRuns: 400 },
    );
    expect(outcomes.refused).toBeGreaterThan(50);
    expect(outcomes.intact).toBeGreaterThan(0);
  });

  it('noise never throws, hangs or exceeds the room', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(0, 1, 50), (bytes, room) => {
        const { transform, dispose } = open(codec, true);
        receive(transform, [bytes], () => room + 1);
        dispose();
      }),
      { numRuns: 500 },
    );
  });
});

describe('S26: secrets and compression', () => {
  it('a server that says nothing keeps no context, so messages cannot be compared with each other', () => {
    const accepted = serverDeflate({ threshold: 0 }).accept([], []);
    expect(accepted?.params.map(([name]) => name)).toEqual(['server_no_context_takeover', 'client_no_context_takeover']);
    const out = accepted?.extension.outbound('server', () => {});
    if (out === undefined) throw new Error('declined');
    const secret = ascii('token=4f1d9a7c55e0');
    const guess = (text: string) => (send(out, [ascii(text)]) ?? []).reduce((sum, one) => sum + one.length, 0);
    send(out, [secret]);
    const right = guess('token=4f1d9a7c55e0');
    const wrong = guess('token=9c70b36e82f5');
    expect(right).toBe(wrong);
    accepted?.extension.dispose?.();
  });

  it('one message can be left out, with and without context', () => {
    for (const serverNoContextTakeover of [true, false]) {
      const accepted = serverDeflate({ threshold: 0, serverNoContextTakeover }).accept([], []);
      const out = accepted?.extension.outbound('server', () => {});
      expect(out?.begin('text', 1000, false)).toBe(0);
      expect(out?.begin('text', 1000, undefined)).toBe(4);
      accepted?.extension.dispose?.();
    }
  });

  it('nothing is offered or accepted unless the extension is configured', () => {
    // The extension is a value that has to be passed in; there is no registry and no default list.
    expect(Object.keys(clientDeflate()).sort()).toEqual(['confirm', 'name', 'offers']);
    expect(Object.keys(serverDeflate()).sort()).toEqual(['accept', 'name']);
  });
});
