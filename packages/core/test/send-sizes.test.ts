/**
 * Sending at the sizes where the way changes (header forms, text encoded here or natively, merged or by reference): the wire, the trace, the
 * counts and `bufferedAmount` agree with each other at each of them. And memory of the output: never written while it is lent, used again after.
 */
import { type Connection, prepareMessage, type Role, type TraceEntry } from '@ferrywire/core';
import { frameHeaderSize, type ParsedFrame } from '@ferrywire/core/frame';
import { beforeEach, describe, expect, it } from 'vitest';
import { concat, digest, hex, open, pattern, pseudoRandom, toHex, utf8 } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

const SIZES = [
  0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 79, 80, 81, 124, 125, 126, 127, 128, 255, 256, 257,
  383, 384, 385, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 16_383, 16_384, 16_385, 32_767, 32_768, 49_151, 49_152, 49_153,
  65_534, 65_535, 65_536, 65_537, 131_072,
] as const;

/** What a text of about `size` bytes is made of: units of one, two, three and four bytes. */
const LETTERS = { ascii: 'abcdefghijklmnopqrstuvw', 'two bytes': 'aé', 'three bytes': '€', 'four bytes': 'a😀' } as const;
function textOf(letters: string, units: number): string {
  return letters.repeat(Math.ceil(units / letters.length)).slice(0, units);
}

interface Way {
  readonly opcode: number;
  /** Sends something of `size` bytes, or units of text, and returns what its payload should be. */
  send(connection: Connection, size: number): Uint8Array;
}
const textWay = (letters: string): Way => ({
  opcode: 1,
  send(connection, size) {
    const text = textOf(letters, size);
    connection.sendText(text);
    return utf8(text);
  },
});
const ways: Readonly<Record<string, Way>> = {
  ...Object.fromEntries(Object.entries(LETTERS).map(([name, letters]) => [`text of ${name}`, textWay(letters)])),
  'text as bytes': {
    opcode: 1,
    send(connection, size) {
      const bytes = utf8(textOf(LETTERS.ascii, size));
      connection.sendText(bytes);
      return bytes;
    },
  },
  binary: {
    opcode: 2,
    send(connection, size) {
      connection.sendBinary(pattern(size, 3));
      return pattern(size, 3);
    },
  },
  'binary, given away': {
    opcode: 2,
    send(connection, size) {
      connection.sendBinary(pattern(size, 5), { transfer: true });
      return pattern(size, 5);
    },
  },
  'a Buffer inside a larger one': {
    opcode: 2,
    send(connection, size) {
      connection.sendBinary(Buffer.from(pattern(size + 9, 1)).subarray(5, 5 + size));
      return pattern(size + 9, 1).subarray(5, 5 + size);
    },
  },
  prepared: {
    opcode: 2,
    send(connection, size) {
      connection.sendPrepared(prepareMessage(pattern(size, 7)));
      return pattern(size, 7);
    },
  },
};

/** The frame as the trace should show it. */
function shown(frame: ParsedFrame): object {
  const { fin, rsv, opcode, masked, maskKey, lengthBytes } = frame.header;
  const preview = toHex(frame.payload.subarray(0, 125));
  return { fin, rsv, opcode, masked, maskKey, length: frame.payload.length, lengthBytes, preview };
}
function traced({ frame }: TraceEntry): object {
  return frame === undefined ? {} : { ...frame, preview: toHex(frame.preview) };
}
const headerOf = (payload: Uint8Array, role: Role): number => frameHeaderSize(payload.length, role === 'client');

describe.each(roles)('a %s sends messages of each size', (role) => {
  it.each(Object.entries(ways))('%s', (_name, { opcode, send }) => {
    const harness = open({ role, tracing: true });
    const { connection, trace } = harness;
    let total = 0;
    let wire = 0;
    for (const [index, size] of SIZES.entries()) {
      const payload = send(connection, size);
      const expected = headerOf(payload, role) + payload.length;
      expect(connection.bufferedAmount, String(size)).toBe(expected);
      const [frame, ...more] = harness.frames() as [ParsedFrame];
      expect(more).toEqual([]);
      expect(digest(frame.payload), String(size)).toBe(digest(payload));
      expect(frame.header).toMatchObject({ opcode, fin: true, rsv: 0, masked: role === 'client', payloadLength: payload.length });
      expect(frame.header.lengthBytes).toBe(payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8);
      expect(traced(trace.at(-1) as TraceEntry), String(size)).toEqual(shown(frame));
      expect(connection.bufferedAmount).toBe(0);
      total += payload.length;
      wire += expected;
      const count = index + 1;
      expect(connection.stats).toMatchObject({ messagesOut: count, framesOut: count, payloadOut: total, bytesOut: wire });
    }
  });

  it.each(Object.entries(ways))('%s, all taken at once', (_name, { send }) => {
    const harness = open({ role });
    const sizes = SIZES.filter((size) => size < 20_000);
    const payloads = sizes.map((size) => send(harness.connection, size));
    const size = payloads.reduce((sum, payload) => sum + headerOf(payload, role) + payload.length, 0);
    expect(harness.connection.bufferedAmount).toBe(size);
    expect(harness.frames().map(({ payload }) => digest(payload))).toEqual(payloads.map(digest));
  });
});

describe.each(roles)('control frames of a %s', (role) => {
  it.each(['ping', 'pong'] as const)('%s of each size', (kind) => {
    const { connection, frames, trace } = open({ role, tracing: true });
    for (let size = 0; size <= 125; size++) {
      expect(connection[kind](pattern(size))).toBe(true);
      expect(connection.bufferedAmount).toBe((role === 'client' ? 6 : 2) + size);
      const [frame] = frames() as [ParsedFrame];
      expect(toHex(frame.payload)).toBe(toHex(pattern(size)));
      expect(frame.header.opcode).toBe(kind === 'ping' ? 9 : 10);
      expect(traced(trace.at(-1) as TraceEntry)).toEqual(shown(frame));
    }
  });

  it('automatic pongs count as buffered, the header too, and until they are taken', () => {
    const { connection, peer, receive, frames } = open({ role, limits: { maxPendingPongs: 3 } });
    const header = role === 'client' ? 6 : 2;
    let expected = 0;
    for (const size of [5, 0, 125]) {
      receive(peer.ping(pattern(size)));
      expected += header + size;
      expect(connection.bufferedAmount).toBe(expected);
    }
    // Beyond the limit the newest takes the place of the last.
    receive(peer.ping(pattern(10)));
    expect(connection.bufferedAmount).toBe(3 * header + 15);
    receive(peer.ping(pattern(20)));
    expect(connection.bufferedAmount).toBe(3 * header + 25);
    connection.sendBinary(hex('01 02'));
    expect(connection.bufferedAmount).toBe(4 * header + 27);
    expect(frames().map(({ payload }) => payload.length)).toEqual([5, 0, 20, 2]);
    expect(connection.bufferedAmount).toBe(0);
    receive(peer.ping(pattern(7)));
    expect(connection.bufferedAmount).toBe(header + 7);
    expect(connection.takeOutput().reduce((sum, { length }) => sum + length, 0)).toBe(header + 7);
    expect(connection.bufferedAmount).toBe(0);
  });

  it('an abort drops automatic pongs', () => {
    const { connection, peer, receive } = open({ role });
    receive(peer.ping('a'), peer.ping('b'));
    connection.sendText('x');
    connection.abort();
    expect(connection.bufferedAmount).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
  });
});

/** Code points at the ends of what one, two, three and four bytes hold. */
const EDGES = ['\u0000', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\ufeff', '\uffff', '\u{10000}', '\u{10ffff}'];

describe.each(roles)('text of a %s', (role) => {
  it('is the same bytes whatever its letters and wherever they stand', () => {
    const { connection, frames } = open({ role });
    for (const size of [0, 1, 2, 62, 63, 64, 65, 123, 124, 125, 126, 127, 16_382, 16_383, 16_384, 16_385]) {
      const most = size > 1000 ? 3 : EDGES.length;
      for (const edge of EDGES.slice(0, most)) {
        for (const text of [edge + 'x'.repeat(size), 'x'.repeat(size) + edge]) {
          connection.sendText(text);
          const before = connection.stats.payloadOut;
          expect(digest((frames()[0] as ParsedFrame).payload), `${size} and ${edge}`).toBe(digest(utf8(text)));
          expect(connection.stats.payloadOut).toBe(before);
        }
      }
    }
  });
});

describe('masks', () => {
  it.each([0, 1, 0x0100_0000, 0xffff_ffff])('a client masks by the key %i as by any other', (key) => {
    const bytes = [key >>> 24, (key >> 16) & 255, (key >> 8) & 255, key & 255];
    const random = (target: Uint8Array): void => {
      for (let at = 0; at < target.length; at++) target[at] = bytes[at & 3] as number;
    };
    const harness = open({ role: 'client', random, tracing: true });
    for (const { send } of Object.values(ways)) {
      for (const size of [0, 1, 5, 64, 65, 126, 200, 20_000]) {
        const payload = send(harness.connection, size);
        const wire = harness.output();
        const start = headerOf(payload, 'client');
        expect(toHex(wire.subarray(start - 4, start))).toBe(toHex(Uint8Array.from(bytes)));
        expect(digest(wire.subarray(start).map((byte, at) => byte ^ (bytes[at & 3] as number)))).toBe(digest(payload));
        expect(harness.trace.at(-1)?.frame?.maskKey).toBe(key);
      }
    }
  });
});

/* Memory of the output. */

const wholeOf = (chunks: readonly Uint8Array[]): string => toHex(concat(...chunks));
function oneChunk(connection: Connection): Uint8Array {
  const chunks = connection.takeOutput();
  expect(chunks.length).toBe(1);
  return chunks[0] as Uint8Array;
}

const PIECE = 65_536;
/** Takes all memory that others have left over, so that what is written next begins a new piece of memory. */
function useUp(): void {
  const { connection } = open({ role: 'server' });
  const some = pattern(3900);
  // Eight pieces at most are kept.
  for (let count = 0; count < 10 * (PIECE / some.length); count++) connection.sendBinary(some);
  connection.takeOutput();
  for (let count = 0; count < 20; count++) {
    connection.sendBinary(some);
    const chunk = oneChunk(connection);
    if (chunk.byteOffset > 0) continue;
    connection.recycleOutput(chunk);
    return;
  }
  throw new Error('no memory begins anew');
}

describe('memory of the output', () => {
  beforeEach(useUp);
  it('is written again once it came back, from the same byte on', () => {
    const { connection } = open({ role: 'server' });
    connection.sendText('one');
    const first = oneChunk(connection);
    connection.recycleOutput(first);
    for (let round = 0; round < 20; round++) {
      connection.sendBinary(pattern(round * 50));
      const next = oneChunk(connection);
      expect(next.buffer).toBe(first.buffer);
      expect(next.byteOffset).toBe(first.byteOffset);
      connection.recycleOutput(next);
    }
  });

  it('while it is out, what follows is written behind it', () => {
    const [one, other] = [open({ role: 'server' }).connection, open({ role: 'server' }).connection];
    one.sendText('first');
    const first = oneChunk(one);
    other.sendText('second');
    const second = oneChunk(other);
    one.sendText('third');
    const third = oneChunk(one);
    expect(second.buffer).toBe(first.buffer);
    expect(third.buffer).toBe(first.buffer);
    expect(second.byteOffset).toBe(first.byteOffset + first.length);
    expect(third.byteOffset).toBe(second.byteOffset + second.length);
    expect([first, second, third].map((chunk) => wholeOf([chunk]))).toEqual([
      `8105${toHex(utf8('first'))}`,
      `8106${toHex(utf8('second'))}`,
      `8105${toHex(utf8('third'))}`,
    ]);
    // All of it free, it begins anew.
    for (const chunk of [second, first, third]) one.recycleOutput(chunk);
    other.sendText('again');
    const again = oneChunk(other);
    expect(again.buffer).toBe(first.buffer);
    expect(again.byteOffset).toBe(0);
    other.recycleOutput(again);
  });

  it('a piece that was filled to its end is used again from its start', () => {
    const { connection } = open({ role: 'server' });
    for (let count = 0; count < 4; count++) connection.sendBinary(pattern(16_000));
    connection.sendBinary(pattern(PIECE - 4 * 16_004 - 24));
    const full = oneChunk(connection);
    expect(full.length).toBe(PIECE - 20);
    connection.sendText('behind it');
    const elsewhere = oneChunk(connection);
    expect(elsewhere.buffer).not.toBe(full.buffer);
    connection.recycleOutput(full);
    connection.sendText('first');
    const again = oneChunk(connection);
    expect(again.buffer).toBe(full.buffer);
    expect(again.byteOffset).toBe(0);
    connection.recycleOutput(again);
    connection.recycleOutput(elsewhere);
  });

  it.each(roles)('frames at the end of a piece lose nothing, however little is left of it, %s', (role) => {
    const texts = ['a'.repeat(64), 'é'.repeat(40), 'b'.repeat(100), 'c'];
    const header = role === 'client' ? 8 : 4;
    for (let left = 0; left < 130; left += 3) {
      useUp();
      const { connection, frames } = open({ role });
      for (let count = 0; count < 4; count++) connection.sendBinary(pattern(16_000));
      connection.sendBinary(pattern(PIECE - 4 * (16_000 + header) - header - left));
      const text = texts[left % texts.length] as string;
      connection.sendText(text);
      connection.sendBinary(pattern(left));
      const sent = frames();
      expect(digest(concat(...sent.slice(0, 4).map(({ payload }) => payload)))).toBe(digest(concat(...Array(4).fill(pattern(16_000)))));
      expect(Buffer.from(sent[5]?.payload ?? []).toString()).toBe(text);
      expect(toHex(sent[6]?.payload as Uint8Array)).toBe(toHex(pattern(left)));
    }
  });

  it('an application that hands back memory of its own, or nothing at all, does no harm', () => {
    const { connection } = open({ role: 'server' });
    const own = pattern(20_000);
    connection.sendBinary(own);
    const chunks = connection.takeOutput();
    expect(chunks.length).toBe(2);
    expect(chunks[1]?.buffer).toBe(own.buffer);
    for (const chunk of chunks) connection.recycleOutput(chunk);
    connection.recycleOutput(own);
    connection.recycleOutput(new Uint8Array(0));
    connection.recycleOutput(hex('01 02'));
    connection.sendText('x');
    expect(wholeOf(connection.takeOutput())).toBe('810178');
    expect(digest(own)).toBe(digest(pattern(20_000)));
  });

  it('queued output of an aborted connection comes back too', () => {
    const { connection } = open({ role: 'server' });
    connection.sendText('probe');
    const probe = oneChunk(connection);
    connection.recycleOutput(probe);
    connection.sendText('lost');
    connection.abort();
    const next = open({ role: 'server' }).connection;
    next.sendText('probe');
    const again = oneChunk(next);
    expect(again.buffer).toBe(probe.buffer);
    expect(again.byteOffset).toBe(probe.byteOffset);
    next.recycleOutput(again);
  });

  it.each([1, 2, 3, 4])('is never written while it is out, whoever sends and in whatever order it comes back (%d)', (seed) => {
    const random = pseudoRandom(seed);
    const two = new Uint8Array(2);
    const below = (most: number): number => {
      random(two);
      return (((two[0] as number) << 8) | (two[1] as number)) % most;
    };
    const connections = Array.from({ length: 5 }, () => open({ role: 'server' }).connection);
    const queued = connections.map(() => '');
    const out: { chunk: Uint8Array; content: string }[] = [];
    const buffers = new Set<ArrayBufferLike>();
    const takeBack = (index: number): void => {
      const [{ chunk, content }] = out.splice(index, 1) as [{ chunk: Uint8Array; content: string }];
      expect(digest(chunk)).toBe(content);
      connections[0]?.recycleOutput(chunk);
    };
    for (let step = 0; step < 1500; step++) {
      const which = below(connections.length);
      const connection = connections[which] as Connection;
      const what = below(10);
      if (what < 6) {
        const size = below(20) === 0 ? below(17_000) : below(1500);
        const payload = new Uint8Array(size).fill(step);
        connection.sendBinary(payload);
        const header = size < 126 ? [0x82, size] : [0x82, 126, size >> 8, size & 255];
        queued[which] += toHex(Uint8Array.from(header)) + toHex(payload);
      } else if (what < 9) {
        const chunks = connection.takeOutput();
        expect(wholeOf(chunks) === queued[which]).toBe(true);
        queued[which] = '';
        for (const chunk of chunks) {
          out.push({ chunk, content: digest(chunk) });
          if (chunk.buffer.byteLength === 65_536) buffers.add(chunk.buffer);
        }
      }
      while (out.length > 40) takeBack(below(out.length));
    }
    while (out.length > 0) takeBack(0);
    // 1500 steps write more than a megabyte; most of it into memory that came back.
    expect(buffers.size).toBeLessThan(20);
  });

  it('a connection that takes and gives back in turn needs one piece of memory for ever', () => {
    const { connection } = open({ role: 'server' });
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 200; round++) {
      for (let count = 0; count < 5; count++) connection.sendBinary(pattern(10_000));
      for (const chunk of connection.takeOutput()) {
        buffers.add(chunk.buffer);
        connection.recycleOutput(chunk);
      }
    }
    expect(buffers.size).toBeLessThanOrEqual(2);
  });
});
