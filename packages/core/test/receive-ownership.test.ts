/** Whose memory input is: `shared` is never written, `reused` is copied, `transferred` is used in place and never pinned by little. */
import { Connection, type Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, messagesOf, type OpenOptions, open, type Peer, pattern, peerOf, summary, toHex, utf8 } from './connection-helpers.ts';

const roles: readonly Role[] = ['server', 'client'];
const deliveries = ['message', 'chunk', 'span'] as const;
const modes = ['push', 'pull'] as const;
const ways: readonly OpenOptions[] = roles.flatMap((role) =>
  modes.flatMap((mode) => deliveries.map((delivery) => ({ role, mode, delivery }))),
);
const title = ({ role, mode, delivery }: OpenOptions): string => `${role}, ${mode}, ${delivery}`;

/** Something of everything, large and small. */
function script(peer: Peer): Uint8Array {
  return concat(
    peer.text('hello'),
    peer.binary(pattern(300)),
    peer.ping('ping'),
    peer.text(`${'é'.repeat(3000)}`, false),
    peer.pong('pong'),
    peer.continuation('x'.repeat(20_000), true),
    peer.binary(pattern(70_000, 3)),
    peer.binary(pattern(17_000, 4), false),
    peer.continuation(pattern(40_000, 5), true),
    peer.binary(new Uint8Array(0)),
    peer.text('😀'.repeat(30)),
    peer.close(1000, 'bye'),
  );
}

/** Sizes of chunks, in turn: below and above every threshold. */
const CUTS = [1, 5, 100, 4096, 30_000, 65_536, 3, 17_000];

function expectedOf(way: OpenOptions): unknown {
  const endpoint = open({ ...way, input: 'shared' });
  endpoint.receive(script(peerOf(way.role)));
  return summary(endpoint.seen);
}

describe.each(ways.map((way) => [title(way), way] as const))('%s', (_, way) => {
  const wire = script(peerOf(way.role));
  const expected = expectedOf(way);

  function* cuts(): Generator<[number, number]> {
    for (let at = 0, turn = 0; at < wire.length; turn++) {
      const end = Math.min(wire.length, at + (CUTS[turn % CUTS.length] as number));
      yield [at, end];
      at = end;
    }
  }

  it('shared input is never written, held or not', () => {
    for (const held of [false, true]) {
      const endpoint = open({ ...way, input: 'shared', pulling: !held });
      const chunks: Uint8Array[] = [];
      if (held && way.mode === 'push') endpoint.connection.pause();
      for (const [at, end] of cuts()) {
        // At odd offsets of larger memory, with guards on both sides.
        const memory = concat(new Uint8Array(3).fill(0xaa), wire.subarray(at, end), new Uint8Array(5).fill(0xbb));
        chunks.push(memory);
        endpoint.receive(memory.subarray(3, -5));
      }
      endpoint.connection.resume();
      if (way.mode === 'pull') endpoint.pull();
      expect(summary(endpoint.seen)).toEqual(expected);
      expect(Buffer.compare(concat(...chunks.map((chunk) => chunk.subarray(3, -5))), wire)).toBe(0);
      expect(chunks.every((chunk) => chunk.subarray(0, 3).every((byte) => byte === 0xaa))).toBe(true);
      expect(chunks.every((chunk) => chunk.subarray(-5).every((byte) => byte === 0xbb))).toBe(true);
    }
  });

  it('reused input may be overwritten as soon as receiveData returns', () => {
    for (const held of [false, true]) {
      for (const Memory of [Uint8Array, Buffer]) {
        const endpoint = open({ ...way, input: 'reused', pulling: !held });
        const memory: Uint8Array = Memory === Buffer ? Buffer.alloc(70_000) : new Uint8Array(70_000);
        if (held && way.mode === 'push') endpoint.connection.pause();
        for (const [at, end] of cuts()) {
          memory.set(wire.subarray(at, end), 7);
          endpoint.connection.receiveData(memory.subarray(7, 7 + end - at));
          memory.fill(0xee);
          if (way.mode === 'pull' && !held) endpoint.pull();
        }
        endpoint.connection.resume();
        if (way.mode === 'pull') endpoint.pull();
        expect(summary(endpoint.seen)).toEqual(expected);
      }
    }
  });

  it('reused input is not written behind the caller’s back either', () => {
    const endpoint = open({ ...way, input: 'reused' });
    for (const [at, end] of cuts()) {
      const chunk = wire.slice(at, end);
      endpoint.receive(chunk);
      expect(Buffer.compare(chunk, wire.subarray(at, end))).toBe(0);
    }
  });

  it('transferred input gives the same events', () => {
    for (const held of [false, true]) {
      const endpoint = open({ ...way, input: 'transferred', pulling: !held });
      if (held && way.mode === 'push') endpoint.connection.pause();
      for (const [at, end] of cuts()) endpoint.receive(wire.slice(at, end));
      endpoint.connection.resume();
      if (way.mode === 'pull') endpoint.pull();
      expect(summary(endpoint.seen)).toEqual(expected);
    }
  });

  it('a buffer that grows under the input shows all of a message', () => {
    const Resizable = ArrayBuffer as unknown as new (
      size: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & { resize(size: number): void };
    const { peer } = open(way);
    const [first, second] = [peer.binary(pattern(220)), peer.binary(pattern(380, 1))];
    for (const follows of [true, false]) {
      const endpoint = open(way);
      const buffer = new Resizable(first.length, { maxByteLength: 1000 });
      let bytes = new Uint8Array(buffer);
      bytes.set(first);
      endpoint.receive(bytes);
      buffer.resize(second.length);
      if (!follows) bytes = new Uint8Array(buffer);
      bytes.set(second);
      endpoint.receive(bytes);
      expect(messagesOf(endpoint.seen)).toEqual([toHex(pattern(220)), toHex(pattern(380, 1))]);
    }
  });

  it('writes nothing outside a transferred chunk', () => {
    const endpoint = open({ ...way, input: 'transferred' });
    for (const [at, end] of cuts()) {
      const memory = new Uint8Array(end - at + 20).fill(0xaa);
      memory.set(wire.subarray(at, end), 9);
      endpoint.receive(memory.subarray(9, 9 + end - at));
      expect(memory.subarray(0, 9).every((byte) => byte === 0xaa)).toBe(true);
      expect(memory.subarray(9 + end - at).every((byte) => byte === 0xaa)).toBe(true);
    }
    expect(summary(endpoint.seen)).toEqual(expected);
  });
});

describe.each(roles)('%s: what a message pins', (role) => {
  it('shared and reused input is never shown in a message', () => {
    for (const input of ['shared', 'reused'] as const) {
      for (const mode of modes) {
        for (const size of [10, 300, 5000, 65_536]) {
          const endpoint = open({ role, mode, input });
          const chunk = endpoint.peer.binary(pattern(size));
          const ping = endpoint.peer.ping('keep');
          endpoint.receive(chunk, ping);
          for (const { data } of [...endpoint.of('binary'), ...endpoint.of('ping')]) {
            expect(data.buffer).not.toBe(chunk.buffer);
            expect(data.buffer).not.toBe(ping.buffer);
          }
        }
      }
    }
  });

  it('a transferred chunk is shown without a copy when the message is at least half of it', () => {
    for (const mode of modes) {
      for (const size of [20_000, 65_536, 500_000]) {
        const endpoint = open({ role, mode, input: 'transferred' });
        const chunk = endpoint.peer.binary(pattern(size));
        endpoint.receive(chunk);
        const [message] = endpoint.of('binary');
        expect(Buffer.compare(message?.data as Uint8Array, pattern(size))).toBe(0);
        expect(message?.data.buffer).toBe(chunk.buffer);
        expect(message?.data.byteOffset).toBe(endpoint.peer.headerSize(size));
      }
    }
  });

  it('a message smaller than half of its chunk’s memory is copied, in every delivery that keeps', () => {
    for (const mode of modes) {
      for (const [size, memory] of [
        [16, 65_536],
        [1000, 65_536],
        [32_000, 65_536],
        [17_000, 100_000],
      ] as const) {
        for (const delivery of mode === 'pull' ? (['message', 'chunk'] as const) : (['message'] as const)) {
          const endpoint = open({ role, mode, delivery, input: 'transferred' });
          const frame = endpoint.peer.binary(pattern(size));
          const large = new Uint8Array(memory);
          large.set(frame, 100);
          endpoint.receive(large.subarray(100, 100 + frame.length));
          const [data] = endpoint.seen.flatMap((event) => (event.type === 'binary' || event.type === 'span' ? [event.data] : []));
          expect(Buffer.compare(data as Uint8Array, pattern(size))).toBe(0);
          expect(data?.buffer).not.toBe(large.buffer);
          expect(data?.buffer.byteLength).toBeLessThanOrEqual(Math.max(16_384, size * 2));
        }
      }
    }
  });

  it('two messages in one transferred chunk never share what either may write', () => {
    const endpoint = open({ role, input: 'transferred' });
    const { peer } = endpoint;
    endpoint.receive(concat(peer.binary(pattern(40_000)), peer.binary(pattern(100, 1)), peer.binary(pattern(30_000, 2)), peer.ping('p')));
    const [first, second, third] = endpoint.of('binary').map(({ data }) => data);
    first?.fill(1);
    second?.fill(2);
    expect(third).toEqual(pattern(30_000, 2));
    third?.fill(3);
    expect(first?.every((byte) => byte === 1)).toBe(true);
    expect(second?.every((byte) => byte === 2)).toBe(true);
    expect(endpoint.of('ping')[0]?.data).toEqual(utf8('p'));
  });

  it('messages put together from several chunks stay whole when later input comes', () => {
    for (const input of ['shared', 'transferred', 'reused'] as const) {
      const endpoint = open({ role, input });
      const { peer } = endpoint;
      const expected: string[] = [];
      for (let round = 0; round < 20; round++) {
        const [a, b] = [pattern(20_000 + round, round), pattern(33_000 - round, round + 7)];
        endpoint.receive(peer.binary(a, false), peer.continuation(b, true), peer.binary(pattern(50, round)));
        expected.push(toHex(concat(a, b)), toHex(pattern(50, round)));
      }
      expect(messagesOf(endpoint.seen)).toEqual(expected);
    }
  });

  it('a kept message is at least half of the memory that it keeps alive, beyond a small slab', () => {
    for (const cut of [1000, 8000, 65_536]) {
      const endpoint = open({ role, input: 'transferred' });
      const wire = endpoint.peer.binary(pattern(100_000));
      for (let at = 0; at < wire.length; at += cut) endpoint.receive(wire.slice(at, at + cut));
      const [message] = endpoint.of('binary');
      expect(Buffer.compare(message?.data as Uint8Array, pattern(100_000))).toBe(0);
      expect(message?.data.buffer.byteLength).toBeLessThanOrEqual(200_000);
    }
  });
});

describe.each(roles)('%s: a transferred chunk with unread frames behind a message', (role) => {
  const small = Array.from({ length: 20 }, (_, at) => pattern(1000, at));
  const peer = peerOf(role);
  const clock = (): number => 0;
  /** With the same options, so that these connections use each other's memory again. */
  const connect = (onBinary: (data: Uint8Array) => void): Connection =>
    new Connection({ role, clock, input: 'transferred', sink: { onBinary } });
  /** Large messages of another connection, which take what memory waits to be used again. */
  function feedAnother(): void {
    const sizes = [60_000, 900_000];
    const seen: boolean[] = [];
    const other = connect((data) => seen.push(data.every((byte) => byte === 0xee)));
    const wire = concat(...sizes.map((size) => peer.binary(new Uint8Array(size).fill(0xee))));
    for (let at = 0; at < wire.length; at += 10_000) other.receiveData(wire.slice(at, at + 10_000));
    expect(seen).toEqual([true, true]);
  }
  /** `first`, then a chunk of 64 KiB that begins with the rest of the message; the callback of the message feeds another connection. */
  function play(first: number, size: number, givesBack: boolean): void {
    const seen: Uint8Array[] = [];
    const connection = connect((data) => {
      seen.push(data.slice());
      if (data.length !== size) return;
      if (givesBack) connection.recycleInput(data);
      feedAnother();
    });
    const wire = concat(peer.binary(pattern(size, 5)), ...small.map((data) => peer.binary(data)));
    const chunk = new Uint8Array(65_536);
    chunk.set(wire.subarray(first, first + chunk.length));
    connection.receiveData(wire.slice(0, first));
    connection.receiveData(chunk.subarray(0, Math.min(chunk.length, wire.length - first)));
    expect(seen.map(({ length }) => length)).toEqual([size, ...small.map(({ length }) => length)]);
    for (const [at, data] of [pattern(size, 5), ...small].entries()) expect(Buffer.compare(seen[at] as Uint8Array, data)).toBe(0);
  }
  it('does not become scratch when the message was put together', () => play(60_000, 100_000, false));
  it('does not come back with the message', () => play(peer.headerSize(40_000), 40_000, true));
});

describe.each(roles)('%s: memory that is used again', (role) => {
  const peer = peerOf(role);
  const clock = (): number => 0;
  /** Checks the contents of what it gets: the messages of `sizes`, in order. */
  function connect(...sizes: readonly number[]): { connection: Connection; read(wire: Uint8Array, most: number): void; done(): void } {
    const seen: Uint8Array[] = [];
    const connection = new Connection({ role, clock, input: 'transferred', sink: { onBinary: (data) => void seen.push(data) } });
    return {
      connection,
      // Parts of a larger buffer, which the receiver does not keep.
      read(wire, most) {
        for (let at = 0; at < wire.length; at += most) {
          const size = Math.min(most, wire.length - at);
          const chunk = new Uint8Array(4 * size).subarray(0, size);
          chunk.set(wire.subarray(at, at + size));
          connection.receiveData(chunk);
        }
      },
      done() {
        expect(seen.map(({ length }) => length)).toEqual(sizes);
        for (const [at, size] of sizes.entries()) expect(Buffer.compare(seen[at] as Uint8Array, pattern(size, size))).toBe(0);
      },
    };
  }
  const wireOf = (size: number): Uint8Array => peer.binary(pattern(size, size));

  it('is never given to two messages at a time', () => {
    const first = connect(300_000);
    const wire = wireOf(300_000);
    const cut = 180_000;
    first.read(wire.subarray(0, cut), 40_000);
    // Memory for the whole is there; these bytes are kept where they are.
    first.connection.receiveData(wire.slice(cut));
    first.done();
    const others = [300_001, 300_002, 300_003, 300_004, 300_005, 300_006].map((size) => ({ ...connect(size), wire: wireOf(size) }));
    for (let at = 0; at < 320_000; at += 40_000) for (const { read, wire: bytes } of others) read(bytes.subarray(at, at + 40_000), 40_000);
    for (const { done } of others) done();
  });
  it('is as large as whoever takes it next expects', () => {
    const messages = connect(2000, 3000, 60_000);
    messages.read(wireOf(2000), 100);
    messages.read(wireOf(3000), 100);
    const text = 'x'.repeat(60_000);
    const texts: string[] = [];
    new Connection({ role, clock, input: 'shared', sink: { onText: (data) => void texts.push(data) } }).receiveData(peer.text(text));
    expect(texts).toEqual([text]);
    messages.read(wireOf(60_000), 20_000);
    messages.done();
  });
});

describe('spans', () => {
  it('of a client are ranges of the chunk itself', () => {
    for (const input of ['shared', 'reused', 'transferred'] as const) {
      const chunks: ArrayBufferLike[] = [];
      const endpoint = open({ role: 'client', delivery: 'span', input, hooks: { onSpan: (buffer) => void chunks.push(buffer.buffer) } });
      const chunk = endpoint.peer.binary(pattern(10_000));
      endpoint.receive(chunk);
      expect(chunks.map((buffer) => buffer === chunk.buffer)).toEqual([true]);
    }
  });

  it('of a server with transferred input are unmasked in place', () => {
    const chunks: ArrayBufferLike[] = [];
    const endpoint = open({
      role: 'server',
      delivery: 'span',
      input: 'transferred',
      hooks: { onSpan: (buffer) => void chunks.push(buffer.buffer) },
    });
    const chunk = endpoint.peer.binary(pattern(10_000));
    endpoint.receive(chunk);
    expect(chunks.map((buffer) => buffer === chunk.buffer)).toEqual([true]);
    expect(chunk.subarray(-10_000)).toEqual(pattern(10_000));
  });
});

describe('recycleInput', () => {
  it('never changes what a message shows, whoever the memory belongs to', () => {
    for (const role of roles) {
      for (const input of ['shared', 'reused', 'transferred'] as const) {
        for (const mode of modes) {
          const endpoint = open({ role, mode, input });
          const { connection, peer } = endpoint;
          let wrong = 0;
          let handled = 0;
          for (let round = 0; round < 200; round++) {
            const size = [10, 100, 3000, 20_000, 70_000][round % 5] as number;
            endpoint.receive(concat(peer.binary(pattern(size, round)), peer.binary(pattern(size >> 1, round + 1))));
            const messages = endpoint.of('binary').slice(-2);
            if (toHex((messages[0] as { data: Uint8Array }).data) !== toHex(pattern(size, round))) wrong++;
            if (toHex((messages[1] as { data: Uint8Array }).data) !== toHex(pattern(size >> 1, round + 1))) wrong++;
            for (const { data } of messages) {
              handled++;
              connection.recycleInput(data);
            }
          }
          expect([wrong, handled]).toEqual([0, 400]);
        }
      }
    }
  });

  it('takes anything without complaint, and memory that was not handed back is left alone', () => {
    for (const input of ['shared', 'transferred'] as const) {
      const { connection, peer, receive, of } = open({ role: 'server', input });
      for (const foreign of [new Uint8Array(0), Buffer.from('pooled'), new Uint8Array(1 << 21)]) connection.recycleInput(foreign);
      expect(() => connection.recycleInput('text' as unknown as Uint8Array)).toThrow(TypeError);
      for (let round = 0; round < 6; round++) receive(peer.binary(pattern(5000, round)));
      const kept = of('binary').map(({ data }) => data);
      // Every other one goes back; the rest is kept.
      for (const [index, data] of kept.entries()) if (index % 2 === 0) connection.recycleInput(data);
      for (let round = 6; round < 12; round++) receive(peer.binary(pattern(5000, round)), peer.text('x'.repeat(5000)));
      for (const index of [1, 3, 5, 6, 7, 8, 9, 10, 11]) expect(of('binary')[index]?.data).toEqual(pattern(5000, index));
    }
  });
});
