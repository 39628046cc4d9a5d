/**
 * Outgoing memory: small frames merged, large payloads by reference, slabs used again, and none of it ever showing in the bytes. Backpressure
 * is `bufferedAmount`: a sender that heeds it holds a bounded amount whatever the peer does.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Connection, prepareMessage } from '@ferrywire/core';
import { FrameParser, type ParsedFrame } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, pseudoRandom, toHex, utf8 } from './connection-helpers.ts';
import { digest, roles, sentMessages } from './sending-helpers.ts';

const KIB = 1024;

function parsed(chunks: readonly Uint8Array[]): ParsedFrame[] {
  return [...new FrameParser().push(concat(...chunks))];
}

/** The chunks that stand in the memory of `payload`. */
function sharing(chunks: readonly Uint8Array[], payload: Uint8Array): Uint8Array[] {
  return chunks.filter((chunk) => chunk.buffer === payload.buffer);
}

describe('short payloads', () => {
  it.each([1, 30, 47, 48])('of %i bytes come out whole where a piece of memory ends in the middle of one', (size) => {
    const { connection } = open({ role: 'server' });
    const frame = concat(hex('82'), Uint8Array.of(size), pattern(size));
    const count = Math.ceil((150 * KIB) / frame.length);
    for (let i = 0; i < count; i++) connection.sendBinary(pattern(size));
    expect(Buffer.concat(connection.takeOutput()).equals(Buffer.concat(Array(count).fill(frame)))).toBe(true);
  });
});

describe('payloads of a server', () => {
  it.each([16 * KIB, 16 * KIB + 1, 65_536, 1024 * KIB])('of %i bytes are in the output as they are, not copied', (size) => {
    const { connection } = open({ role: 'server' });
    for (const payload of [pattern(size), pattern(size + 24).subarray(8, size + 8), Buffer.from(pattern(size))]) {
      for (const send of [() => connection.sendBinary(payload), () => connection.send(payload), () => connection.sendText(payload)]) {
        expect(send()).toBe(true);
        const chunks = connection.takeOutput();
        const [shared, ...more] = sharing(chunks, payload);
        expect(more).toEqual([]);
        expect([shared?.byteOffset, shared?.length]).toEqual([payload.byteOffset, size]);
        expect(parsed(chunks).map((frame) => Buffer.compare(frame.payload, payload))).toEqual([0]);
      }
    }
  });

  it('as fragments and by a writer too', () => {
    const { connection, frames } = open({ role: 'server' });
    const payload = pattern(20_000);
    connection.sendBinary(payload, { fin: false });
    connection.sendContinuation(payload, false);
    connection.sendContinuation(payload, true);
    expect(sharing(connection.takeOutput(), payload).length).toBe(3);
    const writer = connection.startMessage('binary');
    writer.write(payload);
    writer.end(payload);
    expect(connection.bufferedAmount).toBeGreaterThanOrEqual(40_000);
    expect(sentMessages(frames()).map((message) => digest(message.payload))).toEqual([digest(concat(payload, payload))]);
  });

  it('below 16 KiB are copied: the buffer may change after the call', () => {
    const { connection, frames } = open({ role: 'server' });
    const payload = pattern(16 * KIB - 1);
    connection.sendBinary(payload);
    payload.fill(0);
    expect(frames().map((frame) => digest(frame.payload))).toEqual([digest(pattern(16 * KIB - 1))]);
  });

  it.each([false, true])('are never written to, transfer %s', (transfer) => {
    const { connection, output } = open({ role: 'server' });
    for (const size of [1, 100, 20_000, 200_000]) {
      const payload = pattern(size);
      connection.sendBinary(payload, { transfer });
      // output() hands every chunk back: memory that is the application's must be left alone then too.
      output();
      for (let i = 0; i < 10; i++) connection.sendText('x'.repeat(1000));
      output();
      expect(digest(payload)).toBe(digest(pattern(size)));
    }
  });
});

describe('payloads of a client', () => {
  it('are masked in memory of our own', () => {
    const { connection, frames } = open({ role: 'client' });
    for (const size of [1, 100, 16 * KIB, 65_536, 300_000]) {
      const payload = pattern(size);
      const surroundings = payload.buffer.byteLength;
      connection.sendBinary(payload);
      connection.sendText(payload);
      expect(sharing(connection.takeOutput(), payload)).toEqual([]);
      connection.sendBinary(payload, { fin: false });
      connection.sendContinuation(payload, true);
      connection.sendBinary(payload, { transfer: false });
      expect(digest(payload)).toBe(digest(pattern(size)));
      expect(payload.buffer.byteLength).toBe(surroundings);
      expect(frames().map((frame) => digest(frame.payload))).toEqual(Array.from({ length: 3 }, () => digest(payload)));
    }
  });

  it('with transfer are masked in place, and nothing around them is touched', () => {
    const { connection } = open({ role: 'client' });
    const memory = new Uint8Array(100_000).fill(0x5a);
    const payload = memory.subarray(1001, 91_004);
    payload.set(pattern(payload.length));
    expect(connection.sendBinary(payload, { transfer: true })).toBe(true);
    const chunks = connection.takeOutput();
    expect(sharing(chunks, memory).map((chunk) => [chunk.byteOffset, chunk.length])).toEqual([[1001, payload.length]]);
    expect(memory.subarray(0, 1001).every((byte) => byte === 0x5a)).toBe(true);
    expect(memory.subarray(91_004).every((byte) => byte === 0x5a)).toBe(true);
    expect(parsed(chunks).map((frame) => digest(frame.payload))).toEqual([digest(pattern(payload.length))]);
  });

  it('with transfer of any size and place give the same bytes as a copy', () => {
    fc.assert(
      fc.property(fc.nat(40_000), fc.nat(7), (size, offset) => {
        const [one, other] = [true, false].map((transfer) => {
          const { connection, output } = open({ role: 'client', random: pseudoRandom(3) });
          connection.sendBinary(pattern(size + offset).subarray(offset), { transfer });
          return output();
        });
        expect(digest(one ?? hex(''))).toBe(digest(other ?? hex('')));
      }),
      { numRuns: 60 },
    );
  });
});

describe.each(roles)('output, %s', (role) => {
  it('a prepared message by reference may be all there is', () => {
    const { connection } = open({ role: 'server' });
    for (const size of [16 * KIB - 10, 16 * KIB, 100_000]) {
      connection.sendPrepared(prepareMessage(pattern(size)));
      const chunks = connection.takeOutput();
      expect(chunks).toHaveLength(1);
      expect(parsed(chunks).map(({ payload }) => digest(payload))).toEqual([digest(pattern(size))]);
    }
  });
  it('small frames of a turn are one chunk', () => {
    const { connection, peer, receive } = open({ role });
    for (let i = 0; i < 200; i++) {
      connection.sendText(`message ${i}`);
      connection.sendBinary(pattern(i));
    }
    receive(peer.ping('x'));
    connection.ping();
    connection.close(1000);
    const chunks = connection.takeOutput();
    expect(chunks.length).toBeLessThanOrEqual(2);
    expect(parsed(chunks).length).toBe(403);
  });

  it('a header is written in one piece, in order, around a payload by reference', () => {
    const { connection, sent } = open({ role });
    connection.sendText('before');
    connection.sendBinary(new Uint8Array(20_000));
    connection.sendText('after');
    const lines = sent();
    expect([lines[0], lines[1]?.slice(0, 10), lines[2]]).toEqual(["TEXT 'before'", 'BINARY 000', "TEXT 'after'"]);
  });

  it('bufferedAmount is what can be taken, and taking empties it', () => {
    const { connection, peer, receive } = open({ role });
    expect(connection.bufferedAmount).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
    const overhead = role === 'client' ? 4 : 0;
    connection.sendText('é');
    expect(connection.bufferedAmount).toBe(2 + 2 + overhead);
    connection.sendBinary(new Uint8Array(200));
    connection.sendBinary(new Uint8Array(100_000));
    connection.ping(new Uint8Array(5));
    const expected = 4 + 204 + 100_010 + 7 + 4 * overhead;
    expect(connection.bufferedAmount).toBe(expected);
    const taken = connection.takeOutput();
    expect(taken.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(expected);
    expect(connection.bufferedAmount).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
    receive(peer.close(1000));
    expect(connection.bufferedAmount).toBe(4 + overhead);
  });

  it('has no empty chunk', () => {
    const { connection } = open({ role });
    connection.sendText('');
    connection.sendBinary(new Uint8Array(0));
    connection.sendBinary(new Uint8Array(20_000));
    connection.ping();
    expect(connection.takeOutput().filter((chunk) => chunk.length === 0)).toEqual([]);
  });

  it('handing back what is not ours, or twice, or late, harms nobody', () => {
    const { connection, frames } = open({ role });
    const own = pattern(30_000);
    connection.recycleOutput(own);
    connection.recycleOutput(new Uint8Array(0));
    connection.sendBinary(pattern(1000));
    const [first] = connection.takeOutput();
    if (first === undefined) throw new Error('no output');
    connection.recycleOutput(first);
    connection.recycleOutput(first);
    const other = open({ role });
    connection.sendBinary(pattern(2000, 1));
    other.connection.sendBinary(pattern(3000, 2));
    connection.recycleOutput(first);
    connection.sendBinary(pattern(2000, 3));
    expect(frames().map((frame) => frame.payload)).toEqual([pattern(2000, 1), pattern(2000, 3)]);
    expect(other.frames().map((frame) => frame.payload)).toEqual([pattern(3000, 2)]);
    expect(digest(own)).toBe(digest(pattern(30_000)));
  });
});

describe('memory handed back', () => {
  type Step = { readonly at: number; readonly act: 'send' | 'take' | 'recycle'; readonly size: number; readonly text: boolean };
  const step: fc.Arbitrary<Step> = fc.record({
    at: fc.nat(5),
    act: fc.constantFrom('send' as const, 'send' as const, 'send' as const, 'take' as const, 'recycle' as const),
    size: fc.oneof(fc.nat(200), fc.nat(5000), fc.nat(70_000)),
    text: fc.boolean(),
  });

  it('is never written while it is out, with six connections at once', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
        const sides = Array.from({ length: 6 }, (_, i) => ({
          connection: new Connection({ role: i % 2 === 0 ? 'server' : 'client', clock: () => 0, random: pseudoRandom(i + 1) }),
          parser: new FrameParser(),
          expected: [] as Uint8Array[],
          arrived: [] as Uint8Array[],
          out: [] as { chunk: Uint8Array; copy: Uint8Array }[],
        }));
        const written = ({ chunk, copy }: { chunk: Uint8Array; copy: Uint8Array }): void => expect(Buffer.compare(chunk, copy)).toBe(0);
        let seed = 0;
        for (const { at, act, size, text } of steps) {
          const side = sides[at];
          if (side === undefined) continue;
          if (act === 'send') {
            const payload = text ? new Uint8Array(size).fill(0x61 + (seed % 26)) : pattern(size, seed);
            seed++;
            if (text) side.connection.sendText(Buffer.from(payload).toString('latin1'));
            else side.connection.sendBinary(payload);
            side.expected.push(payload);
          } else if (act === 'take') {
            for (const chunk of side.connection.takeOutput()) side.out.push({ chunk, copy: Uint8Array.from(chunk) });
          } else {
            // The transport writes the oldest chunk and gives its memory back.
            const oldest = side.out.shift();
            if (oldest === undefined) continue;
            written(oldest);
            for (const frame of side.parser.push(oldest.copy)) side.arrived.push(frame.payload);
            side.connection.recycleOutput(oldest.chunk);
          }
        }
        for (const side of sides) {
          for (const chunk of side.connection.takeOutput()) side.out.push({ chunk, copy: Uint8Array.from(chunk) });
        }
        for (const side of sides) {
          for (const entry of side.out) {
            written(entry);
            for (const frame of side.parser.push(entry.copy)) side.arrived.push(frame.payload);
          }
          expect(Buffer.compare(concat(...side.arrived), concat(...side.expected))).toBe(0);
          expect(side.arrived.map(({ length }) => length)).toEqual(side.expected.map(({ length }) => length));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is used again: a connection that writes and hands back needs no new memory', () => {
    const { connection } = open({ role: 'server' });
    const buffers = new Set<ArrayBufferLike>();
    const views = new Set<Uint8Array>();
    for (let i = 0; i < 20_000; i++) {
      connection.sendText('x'.repeat(200));
      for (const chunk of connection.takeOutput()) {
        buffers.add(chunk.buffer);
        views.add(chunk);
        connection.recycleOutput(chunk);
      }
    }
    // 4 MB through 64 KiB slabs: 62 of them without reuse. The first few may be rests that other connections still have out.
    expect(buffers.size).toBeLessThanOrEqual(9);
    // Every place in those rests once; after that, the view of the one before.
    expect(views.size).toBeLessThan(3000);
  });

  it('is not given up for what came back of other memory', () => {
    const [first, second, third] = [open({ role: 'server' }), open({ role: 'server' }), open({ role: 'server' })] as const;
    const payload = pattern(20_000);
    second.connection.sendBinary(payload);
    const large = second.connection.takeOutput();
    first.connection.sendBinary(pattern(300, 1));
    const waiting = first.connection.takeOutput();
    const before = concat(...waiting);
    // The payload is the application's.
    for (const chunk of large) second.connection.recycleOutput(chunk);
    second.connection.recycleOutput(payload);
    for (let count = 0; count < 400; count++) {
      third.connection.sendBinary(pattern(300, count));
      for (const chunk of third.connection.takeOutput()) third.connection.recycleOutput(chunk);
    }
    expect(Buffer.compare(concat(...waiting), before)).toBe(0);
  });
  it('is not counted as back twice for one chunk that is handed back twice', () => {
    const [first, second, third] = [1, 2, 3].map(() => open({ role: 'server' }).connection) as [Connection, Connection, Connection];
    first.sendBinary(pattern(300));
    const [twice] = first.takeOutput();
    for (let count = 0; count < 3; count++) first.recycleOutput(twice as Uint8Array);
    first.sendBinary(pattern(400, 1));
    const back = first.takeOutput();
    second.sendBinary(pattern(400, 2));
    const out = second.takeOutput();
    expect(out[0]?.buffer === back[0]?.buffer).toBe(true);
    for (const chunk of back) first.recycleOutput(chunk);
    for (let count = 0; count < 3; count++) {
      third.sendBinary(pattern(1000, count));
      for (const chunk of third.takeOutput()) third.recycleOutput(chunk);
    }
    expect(parsed(out).map(({ payload }) => toHex(payload))).toEqual([toHex(pattern(400, 2))]);
  });
  it('is not started again while another connection writes in its rest', () => {
    const [first, second] = [open({ role: 'server' }).connection, open({ role: 'server' }).connection];
    // From its start: the rest of one that the tests before have used may be too small to serve twice.
    first.sendBinary(pattern(40_000).subarray(0, 15_000));
    for (let turn = 0; turn < 3; turn++) {
      const lent = first.takeOutput();
      second.sendBinary(pattern(300, 1));
      for (const chunk of lent) first.recycleOutput(chunk);
      second.sendBinary(pattern(300, 2));
      const payloads = parsed(second.takeOutput()).map(({ payload }) => toHex(payload));
      expect(payloads).toEqual([toHex(pattern(300, 1)), toHex(pattern(300, 2))]);
      first.sendBinary(pattern(300));
    }
  });
  it('is shown by the view that came back only where place and size are the same', () => {
    const { connection } = open({ role: 'server' });
    const other = open({ role: 'server' }).connection;
    const send = (to: Connection, size: number): Uint8Array => {
      to.sendBinary(pattern(size));
      const [chunk] = to.takeOutput();
      if (chunk === undefined) throw new Error('no output');
      expect(chunk.subarray(2)).toEqual(pattern(size));
      return chunk;
    };
    const first = send(connection, 100);
    connection.recycleOutput(first);
    const again = send(other, 100);
    const second = send(connection, 100);
    expect(second).not.toBe(again);
    other.recycleOutput(again);
    connection.recycleOutput(second);
    for (const size of [101, 99, 100, 1, 100]) connection.recycleOutput(send(connection, size));
  });
});

describe('a peer that reads nothing', () => {
  const script = fileURLToPath(new URL('send-memory.mjs', import.meta.url));
  it.each(roles)('256 MiB offered by a %s that heeds bufferedAmount: memory grows by at most 8 MiB', (role) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', script, role], { encoding: 'utf8', timeout: 60_000 });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const { offered, accepted, growth, pings } = JSON.parse(stdout) as { offered: number; accepted: number; growth: number; pings: number };
    expect(offered).toBeGreaterThanOrEqual(256 * KIB * KIB);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(8 * KIB * KIB);
    expect(pings).toBeGreaterThan(10_000);
    expect(growth).toBeLessThanOrEqual(8 * KIB * KIB);
  });
});

it('a payload held by reference is let go once it was taken', () => {
  const { connection } = open({ role: 'server' });
  const chunksOf = (text: string): number => {
    connection.sendBinary(utf8(text));
    return connection.takeOutput().length;
  };
  connection.sendBinary(pattern(50_000));
  expect(connection.takeOutput().length).toBe(2);
  expect(chunksOf('a')).toBe(1);
});
