/** Whose memory is used again, and when memory is asked for: seen in the buffers of what comes out, and in the calls of `kernels.allocate`. */
import { Connection, type Kernels } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, digest, open, pattern, peerOf } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

/** Sizes asked of `allocate`, in order. */
function counting(): { readonly kernels: Kernels; readonly sizes: number[] } {
  const sizes: number[] = [];
  const allocate = (size: number): Uint8Array<ArrayBuffer> => {
    sizes.push(size);
    return new Uint8Array(size);
  };
  return { kernels: { allocate }, sizes };
}

describe.each(roles)('a %s', (role) => {
  it('makes memory for a message once, of its size, and not before half of it is there', () => {
    const { kernels, sizes } = counting();
    const harness = open({ role, kernels });
    const wire = harness.peer.binary(pattern(100_000));
    const header = harness.peer.headerSize(100_000);
    let at = 0;
    for (const payload of [0, 10_000, 40_000, 49_000]) {
      harness.receive(wire.slice(at, header + payload));
      at = header + payload;
      expect(sizes).toEqual([]);
    }
    harness.receive(wire.slice(at, header + 75_000), wire.slice(header + 75_000));
    expect(sizes).toEqual([100_000]);
    const [message] = harness.of('binary');
    expect([message?.data.byteOffset, message?.data.buffer.byteLength]).toEqual([0, 100_000]);
    expect(digest(message?.data ?? new Uint8Array())).toBe(digest(pattern(100_000)));
  });

  it('joins fragments in memory of exactly their size', () => {
    const { kernels, sizes } = counting();
    const harness = open({ role, kernels });
    const { peer } = harness;
    harness.receive(
      peer.binary(pattern(3000), false),
      peer.continuation(pattern(3000, 1), false),
      peer.continuation(pattern(3000, 2), true),
    );
    expect(sizes).toContain(9000);
    expect(harness.of('binary')[0]?.data.buffer.byteLength).toBe(9000);
    expect(digest(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(
      digest(concat(pattern(3000), pattern(3000, 1), pattern(3000, 2))),
    );
  });

  it('keeps a large transferred fragment where it is, between others that it copied', () => {
    const harness = open({ role, input: 'transferred' });
    const { peer } = harness;
    const parts = [pattern(700), pattern(60_000, 1), pattern(900, 2), pattern(50_000, 3), pattern(10, 4)];
    for (const [index, part] of parts.entries()) {
      const frame = peer.frame({ opcode: index === 0 ? 2 : 0, payload: part, fin: index === parts.length - 1 });
      harness.receive(Uint8Array.from(frame));
    }
    expect(harness.of('binary').map(({ data }) => digest(data))).toEqual([digest(concat(...parts))]);
  });

  it('shows a large transferred message in the memory it came in, and unmasks it there', () => {
    const harness = open({ role, input: 'transferred' });
    const [large, small] = [harness.peer.binary(pattern(20_000)), harness.peer.binary(pattern(1000))].map((wire) => Uint8Array.from(wire));
    if (large === undefined || small === undefined) throw new Error('two frames');
    harness.receive(large, small);
    const [first, second] = harness.of('binary');
    expect(first?.data.buffer).toBe(large.buffer);
    expect(second?.data.buffer).not.toBe(small.buffer);
    expect([first, second].map((message) => digest(message?.data ?? new Uint8Array()))).toEqual([
      digest(pattern(20_000)),
      digest(pattern(1000)),
    ]);
  });

  it('shows nothing in memory of which it would be less than half', () => {
    const harness = open({ role, input: 'transferred' });
    const wire = harness.peer.binary(pattern(20_000));
    const wide = new Uint8Array(2 * 20_000 + 2000);
    wide.set(wire, 500);
    harness.receive(wide.subarray(500, 500 + wire.length));
    expect(harness.of('binary')[0]?.data.buffer).not.toBe(wide.buffer);
    expect(digest(harness.of('binary')[0]?.data ?? new Uint8Array())).toBe(digest(pattern(20_000)));
  });

  it.each([
    ['as large', 40_000, 40_000, true],
    ['a little smaller', 40_000, 30_000, true],
    ['half as large', 40_000, 20_000, true],
    ['less than half as large', 40_000, 19_999, false],
    ['larger', 40_000, 40_001, false],
  ])('a message %s as memory that came back', (_, size, next, again) => {
    const { kernels, sizes } = counting();
    const harness = open({ role, kernels });
    harness.receive(harness.peer.binary(pattern(size)));
    const first = harness.of('binary')[0]?.data as Uint8Array;
    expect(sizes).toEqual([size]);
    harness.connection.recycleInput(first);
    harness.receive(harness.peer.binary(pattern(next, 5)));
    const second = harness.of('binary')[1]?.data as Uint8Array;
    expect(second.buffer === first.buffer).toBe(again);
    expect([second.length, sizes.length]).toEqual([next, again ? 1 : 2]);
    expect(digest(second)).toBe(digest(pattern(next, 5)));
    // Once.
    harness.receive(harness.peer.binary(pattern(next, 6)));
    expect(harness.of('binary')[2]?.data.buffer === first.buffer).toBe(false);
  });

  it('keeps the largest of what came back, and nothing small, partial or huge', () => {
    for (const [data, kept] of [
      [new Uint8Array(4096), true],
      [new Uint8Array(4095), false],
      [new Uint8Array(1 << 20), true],
      [new Uint8Array((1 << 20) + 1), false],
      [new Uint8Array(new ArrayBuffer(5000), 1), false],
      // What stands behind it may be input that is not read yet.
      [new Uint8Array(new ArrayBuffer(10_000), 0, 9999), false],
      [new Uint8Array(new ArrayBuffer(10_000), 0, 5000), false],
    ] as const) {
      const { kernels, sizes } = counting();
      const harness = open({ role, kernels, limits: { maxMessageSize: 2 << 20 } });
      harness.connection.recycleInput(data);
      harness.receive(harness.peer.binary(pattern(data.buffer.byteLength)));
      expect([data.length, harness.of('binary')[0]?.data.buffer === data.buffer]).toEqual([data.length, kept]);
      expect(sizes.length === 0).toBe(kept);
    }
    // Nor all of memory that came back before, for a part of it that does not begin where it does.
    const cut = open({ role });
    cut.connection.recycleInput(new Uint8Array(10_000));
    cut.receive(cut.peer.binary(pattern(9000)));
    const message = cut.of('binary')[0]?.data ?? new Uint8Array();
    cut.connection.recycleInput(message.subarray(1));
    cut.receive(cut.peer.binary(pattern(9000)));
    expect([message.buffer.byteLength, cut.of('binary')[1]?.data.buffer === message.buffer]).toEqual([10_000, false]);
    const whole = new Uint8Array(10_000);
    const again = open({ role });
    for (const [at, size] of [5000, 9999, 10_000].entries()) {
      again.connection.recycleInput(again.of('binary')[at - 1]?.data ?? whole);
      again.receive(again.peer.binary(pattern(size)));
      // A part of memory that came back comes back as all of it.
      expect(again.of('binary')[at]?.data.buffer).toBe(whole.buffer);
    }
    const [small, large] = [new Uint8Array(5000), new Uint8Array(9000)];
    for (const order of [
      [small, large],
      [large, small],
    ]) {
      const harness = open({ role });
      for (const data of order) harness.connection.recycleInput(data);
      harness.receive(harness.peer.binary(pattern(9000)));
      expect(harness.of('binary')[0]?.data.buffer).toBe(large.buffer);
    }
  });

  it('does not keep what comes back after the end', () => {
    const harness = open({ role });
    harness.receive(harness.peer.binary(pattern(40_000)));
    harness.connection.abort();
    expect(() => harness.connection.recycleInput(harness.of('binary')[0]?.data as Uint8Array)).not.toThrow();
    expect(() => harness.connection.recycleInput('x' as unknown as Uint8Array)).toThrow(TypeError);
  });

  it('writes output that was taken and given back in the same memory again, and what was not in other', () => {
    const connection = new Connection({ role, clock: () => 0 });
    const taken = (): Uint8Array => {
      connection.sendBinary(pattern(2000));
      const [only] = connection.takeOutput();
      return only as Uint8Array;
    };
    const first = taken();
    connection.recycleOutput(first);
    const second = taken();
    // By identity: `toEqual` compares what is in them.
    expect([second.buffer === first.buffer, second.byteOffset]).toEqual([true, first.byteOffset]);
    const third = taken();
    // The second is still on its way.
    expect(third.buffer === second.buffer && third.byteOffset === second.byteOffset).toBe(false);
    expect(() => connection.recycleOutput('x' as unknown as Uint8Array)).toThrow(TypeError);
    for (const chunk of [second, third]) connection.recycleOutput(chunk);
  });
});

it('a slab is cut on for the next message, and ends where it is full', () => {
  const server = open({ role: 'server' });
  const peer = peerOf('server');
  for (let count = 0; count < 60; count++) server.receive(peer.binary(pattern(300 + count, count)));
  const messages = server.of('binary').map(({ data }) => data);
  for (const [index, data] of messages.entries()) expect(digest(data)).toBe(digest(pattern(300 + index, index)));
  // 300 bytes of 16 KiB: many share one buffer, none reaches into another.
  expect(new Set(messages.map(({ buffer }) => buffer)).size).toBeLessThan(6);
});
