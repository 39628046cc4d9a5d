/**
 * The connection half: messages through inbound and outbound transforms, alone, without a connection.
 */

import type { Extension } from '@ferrywire/core';
import { isViolation } from '@ferrywire/core/frame';
import { clientDeflate, type DeflateCodec, type DeflateOptions, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { ascii, concat, cut, hex, mixture, Output, random, receive, send, TAIL, toHex } from '../dist/suite/harness.js';
import { referenceInflate } from '../dist/suite/reference.js';

const opened: Extension[] = [];
afterEach(() => {
  for (const extension of opened.splice(0)) extension.dispose?.();
});

const KEEP = { serverNoContextTakeover: false, clientNoContextTakeover: false } as const;

function extension(options: DeflateOptions): Extension {
  const accepted = serverDeflate({ ...KEEP, threshold: 0, ...options }).accept([['client_max_window_bits', true]], []);
  if (accepted === null) throw new Error('declined');
  opened.push(accepted.extension);
  return accepted.extension;
}
const inbound = (options: DeflateOptions = {}) => extension(options).inbound('server', () => {});
const outbound = (options: DeflateOptions = {}) => extension(options).outbound('server', () => {});
const hexes = (payloads: readonly Uint8Array[] | null) => payloads?.map(toHex);
const text = (result: Uint8Array | number) => (typeof result === 'number' ? result : String.fromCharCode(...result));

describe.each<[string, DeflateCodec]>([
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
])('%s', (_name, codec) => {
  it('sends the examples of 7.2.3', () => {
    const keeping = outbound({ codec });
    expect(hexes(send(keeping, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
    expect(hexes(send(keeping, [ascii('Hello')]))).toEqual(['f200110000']);
    expect(hexes(send(keeping, [new Uint8Array(0)]))).toEqual(['00']);
    expect(hexes(send(keeping, [ascii('Hello')]))).toEqual(['02130000']); // now that five more bytes are known to repeat
    const forgetting = outbound({ codec, serverNoContextTakeover: true });
    for (let round = 0; round < 3; round++) expect(hexes(send(forgetting, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
  });

  it('receives the examples of 7.2.3', () => {
    const keeping = inbound({ codec });
    expect(text(receive(keeping, [hex('f248cdc9c90700')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('f248cd'), hex('c9c90700')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('f200110000')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('000500faff48656c6c6f00')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('f348cdc9c9070000')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('f24805000000ffffcac9c90700')]))).toBe('Hello');
    expect(text(receive(keeping, [hex('00')]))).toBe('');
    expect(text(receive(keeping, [new Uint8Array(0), hex('00')]))).toBe('');
    expect(text(receive(keeping, [hex('f200110000')]))).toBe('Hello');
    const forgetting = inbound({ codec, clientNoContextTakeover: true });
    expect(text(receive(forgetting, [hex('f248cdc9c90700')]))).toBe('Hello');
    expect(receive(forgetting, [hex('f200110000')])).toBe(1007);
  });

  it('a payload of no bytes is an empty message and leaves the window alone', () => {
    const transform = inbound({ codec });
    expect(text(receive(transform, [new Uint8Array(0)]))).toBe('');
    expect(text(receive(transform, [hex('f248cdc9c90700')]))).toBe('Hello');
    expect(text(receive(transform, [new Uint8Array(0), new Uint8Array(0)]))).toBe('');
    expect(text(receive(transform, [hex('f200110000')]))).toBe('Hello');
  });

  it('fragments each carry what was sent so far; the tail of the last is left out', () => {
    const next = random(11);
    for (const options of [{}, { serverNoContextTakeover: true, clientNoContextTakeover: true }]) {
      const out = outbound({ codec, ...options });
      const into = inbound({ codec, ...options });
      for (let round = 0; round < 30; round++) {
        const message = mixture(next, Math.floor(next() * 4000));
        const pieces = cut(next, message);
        if (round % 3 === 0) pieces.push(new Uint8Array(0));
        if (round % 5 === 0) pieces.unshift(new Uint8Array(0));
        const payloads = send(out, pieces, undefined, () => Math.floor(next() * 300));
        if (payloads === null) throw new Error('left uncompressed');
        // What the peer has after each fragment, given that up to four bytes of its flush come with the next one.
        let seen = 0;
        const reader = codec.createInflate(15);
        const sink = new Output();
        if (round === 0) {
          payloads.forEach((payload, index) => {
            seen += pieces[index]?.length ?? 0;
            sink.room = 1 << 20;
            for (let at = 0; at < payload.length; ) at += reader.push(payload, at, payload.length, sink)?.consumed ?? payload.length;
            expect(sink.total).toBe(seen);
          });
        }
        reader.close();
        expect(receive(into, payloads, () => Math.floor(next() * 300))).toEqual(message);
      }
    }
  });

  it('an empty last fragment ends the message at the fragment before', () => {
    const out = outbound({ codec, serverNoContextTakeover: true });
    expect(hexes(send(out, [ascii('Hello'), new Uint8Array(0)]))).toEqual(['f248cdc9c90700', '']);
    expect(hexes(send(out, [new Uint8Array(0), new Uint8Array(0)]))).toEqual(['', '00']);
    expect(hexes(send(out, [new Uint8Array(0), ascii('Hello')]))).toEqual(['', 'f248cdc9c90700']);
  });

  it('an empty message waits for room as any other', () => {
    const transform = outbound({ codec });
    const sink = new Output();
    sink.room = 0;
    expect(transform.begin('text', 0, true)).toBe(4);
    expect([transform.push(new Uint8Array(0), 0, 0, true, sink), sink.total]).toEqual([{ consumed: 0, status: 'more' }, 0]);
    sink.room = 1;
    expect([transform.push(new Uint8Array(0), 0, 0, true, sink), sink.total]).toEqual([{ consumed: 0, status: 'need' }, 1]);
    expect(hexes(send(transform, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
  });

  it('level, memory level and window have their effect', () => {
    const message = mixture(random(1), 30_000);
    const size = (options: DeflateOptions) =>
      (send(outbound({ codec, serverNoContextTakeover: true, ...options }), [message]) ?? []).reduce((sum, one) => sum + one.length, 0);
    expect(size({ level: 0 })).toBeGreaterThan(message.length);
    expect(size({ level: 9 })).toBeLessThan(size({ level: 1 }));
    expect(size({ serverMaxWindowBits: 9 })).toBeGreaterThan(size({ serverMaxWindowBits: 15 }));
    expect(size({ memLevel: 1 })).not.toBe(size({ memLevel: 9 }));
  });

  it('borrowed compressors of interleaved messages do not mix', () => {
    const next = random(21);
    const options = { codec, serverNoContextTakeover: true, clientNoContextTakeover: true } as const;
    const lanes = Array.from({ length: 12 }, () => ({
      out: outbound(options),
      into: inbound(options),
      message: mixture(next, 5000),
      payloads: [] as Uint8Array[],
      at: 0,
    }));
    for (let round = 0; round < 3; round++) {
      for (const lane of lanes) {
        lane.at = 0;
        lane.payloads = [];
        expect(lane.out.begin('binary', null, undefined)).toBe(4);
      }
      let open = lanes.length;
      while (open > 0) {
        const lane = lanes[Math.floor(next() * lanes.length)];
        if (lane === undefined || lane.at > lane.message.length) continue;
        const end = Math.min(lane.message.length, lane.at + 1 + Math.floor(next() * 900));
        const fin = end === lane.message.length;
        const sink = new Output();
        for (let at = lane.at; ; ) {
          sink.room = 1 << 20;
          const step = lane.out.push(lane.message, at, end, fin, sink);
          at += step.consumed;
          if (step.status === 'need') break;
        }
        lane.payloads.push(sink.bytes);
        lane.at = fin ? end + 1 : end;
        if (fin) open--;
      }
      for (const lane of lanes) {
        expect(receive(lane.into, lane.payloads)).toEqual(lane.message);
        expect(referenceInflate(concat([...lane.payloads, TAIL])).output).toEqual(lane.message);
      }
    }
  });

  it('equal cache keys give equal bytes, whatever was sent before', () => {
    const next = random(31);
    const first = outbound({ codec, serverNoContextTakeover: true });
    const second = outbound({ codec, serverNoContextTakeover: true });
    expect(first.cacheKey).toBe(second.cacheKey);
    const message = mixture(next, 3000);
    const bytes = hexes(send(first, [message]));
    for (let round = 0; round < 5; round++) {
      send(second, [mixture(next, 50_000)]);
      expect(hexes(send(second, [message]))).toEqual(bytes);
    }
  });
});

describe('what is compressed', () => {
  it('the threshold decides, the message may ask otherwise', () => {
    const transform = outbound({ threshold: 10 });
    expect(transform.begin('text', 9, undefined)).toBe(0);
    expect(transform.begin('text', 10, undefined)).toBe(4);
    expect(transform.begin('text', null, undefined)).toBe(4);
    expect(transform.begin('text', 0, true)).toBe(4);
    expect(transform.begin('text', 1_000_000, false)).toBe(0);
    const never = outbound({ threshold: Number.POSITIVE_INFINITY });
    expect(never.begin('text', 1e9, undefined)).toBe(0);
    expect(never.begin('text', 1e9, true)).toBe(4);
  });

  it('the default threshold is 128 bytes', () => {
    const accepted = serverDeflate().accept([], []);
    if (accepted === null) throw new Error('declined');
    const transform = accepted.extension.outbound('server', () => {});
    expect([transform.begin('text', 127, undefined), transform.begin('text', 128, undefined)]).toEqual([0, 4]);
  });

  it('messages left out do not enter the window', () => {
    const out = outbound({ threshold: 5 });
    const into = inbound();
    expect(hexes(send(out, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
    expect(send(out, [ascii('Hi')])).toBeNull();
    expect(send(out, [ascii('Hello')], false)).toBeNull();
    const again = send(out, [ascii('Hello')]);
    expect(hexes(again)).toEqual(['f200110000']);
    expect(text(receive(into, [hex('f248cdc9c90700')]))).toBe('Hello');
    expect(into.begin('text', 0)).toBe(false);
    expect(text(receive(into, again ?? []))).toBe('Hello');
  });

  it('cache keys tell apart what gives other bytes, and are absent where context is kept', () => {
    expect(outbound().cacheKey).toBeNull();
    const fresh = { serverNoContextTakeover: true } as const;
    const keys = [
      fresh,
      { ...fresh, level: 1 },
      { ...fresh, memLevel: 9 },
      { ...fresh, serverMaxWindowBits: 10 },
      { ...fresh, codec: pakoCodec },
      { ...fresh, threshold: 10 },
    ].map((options) => outbound(options).cacheKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(outbound(fresh).cacheKey).toBe(keys[0]);
  });

  it('a client that promised no context keeps none, asked or not', () => {
    const client = clientDeflate({ clientNoContextTakeover: true, threshold: 0 }).confirm([], []);
    if (client === null) throw new Error('refused');
    opened.push(client);
    const out = client.outbound('client', () => {});
    expect(out.cacheKey).not.toBeNull();
    expect(hexes(send(out, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
    expect(hexes(send(out, [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
  });
});

describe('codecs of others', () => {
  it('a codec without `finish` gets the tail through `push`', () => {
    const codec: DeflateCodec = {
      ...pakoCodec,
      createInflate(windowBits) {
        const raw = pakoCodec.createInflate(windowBits);
        return { push: raw.push.bind(raw), reset: raw.reset.bind(raw), close: raw.close.bind(raw) };
      },
    };
    for (const clientNoContextTakeover of [true, false]) {
      const transform = inbound({ codec, clientNoContextTakeover });
      for (let round = 0; round < 3; round++) {
        expect(text(receive(transform, [hex('f248cdc9c90700')], () => 2))).toBe('Hello');
        expect(text(receive(transform, [hex('f348cdc9c9070000')], () => 1))).toBe('Hello');
      }
      expect(receive(transform, [hex('07')])).toBe(1007);
    }
  });

  it('a codec that does not flush is found out', () => {
    const codec: DeflateCodec = {
      ...pakoCodec,
      createDeflate: () => ({
        push: (_input, start, end) => ({ consumed: end - start, status: 'need' }),
        reset() {},
        close() {},
      }),
    };
    expect(() => send(outbound({ codec }), [ascii('Hello')])).toThrow(/codec/);
  });
});

describe('after the end', () => {
  it('S23: transforms of a closed connection are harmless, in the middle of a message too', () => {
    for (const codec of [zlibCodec, pakoCodec]) {
      for (const takeover of [true, false]) {
        const options = { codec, serverNoContextTakeover: !takeover, clientNoContextTakeover: !takeover } as const;
        const both = extension(options);
        const into = both.inbound('server', () => {});
        const out = both.outbound('server', () => {});
        const sink = new Output();
        sink.room = 100;
        into.begin('text', 4);
        into.push(hex('f248cd'), 0, 3, sink);
        out.begin('text', null, true);
        out.push(ascii('Hello'), 0, 3, false, sink);
        both.dispose?.();
        both.dispose?.();
        const refused = into.push(hex('c9c90700'), 0, 4, sink);
        expect(isViolation(refused)).toBe(true);
        expect(isViolation(Object(into.finish(sink)))).toBe(true);
        const before = sink.total;
        expect(out.push(ascii('Hello'), 3, 5, true, sink)).toEqual({ consumed: 2, status: 'need' });
        expect(sink.total).toBe(before);
        expect(out.begin('text', 5, true)).toBe(0);
        expect(into.begin('text', 4)).toBe(true);
        expect(isViolation(into.push(hex('f248'), 0, 2, sink))).toBe(true);
      }
    }
    // The pools are intact: what was in the middle of a message did not go back.
    expect(hexes(send(outbound({ serverNoContextTakeover: true }), [ascii('Hello')]))).toEqual(['f248cdc9c90700']);
    expect(text(receive(inbound({ clientNoContextTakeover: true }), [hex('f248cdc9c90700')]))).toBe('Hello');
  });

  it('after bad data nothing of the same connection is decompressed', () => {
    const transform = inbound();
    expect(receive(transform, [hex('07')])).toBe(1007);
    expect(receive(transform, [hex('f248cdc9c90700')])).toBe(1007);
  });
});
