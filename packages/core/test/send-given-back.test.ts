/**
 * Messages that are sent on and given back (`recycleInput`) before they were written: their memory serves later messages, and none of it
 * before the last transport has written it.
 */
import { Connection, type Extension, type Kernels, type Role } from '@ferrywire/core';
import { FrameParser } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, digest, open, type Peer, pattern, peerOf, pseudoRandom } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

/** Echoes by reference: a client masks in place what it was given. */
const transfer = true;
const payloads = (chunks: readonly Uint8Array[]): string[] =>
  [...new FrameParser({ maxFrameSize: 1 << 21 }).push(concat(...chunks))].map(({ payload }) => digest(payload));

interface Echo {
  readonly connection: Connection;
  readonly peer: Peer;
  /** Buffers of the messages that came. */
  readonly buffers: ArrayBufferLike[];
  receive(...payloads: readonly Uint8Array[]): void;
}
function echo(role: Role, onBinary?: (data: Uint8Array) => void): Echo {
  const buffers: ArrayBufferLike[] = [];
  const peer = peerOf(role);
  const connection = new Connection({
    role,
    clock: () => 0,
    random: pseudoRandom(3),
    sink: {
      onBinary(data) {
        buffers.push(data.buffer);
        if (onBinary !== undefined) onBinary(data);
        else {
          connection.send(data, { transfer });
          connection.recycleInput(data);
        }
      },
    },
  });
  return { connection, peer, buffers, receive: (...all) => connection.receiveData(concat(...all.map((data) => peer.binary(data)))) };
}

describe.each(roles)('%s: a message that is echoed and given back', (role) => {
  it('goes out as it came, whatever comes meanwhile, and its memory is used for the next one once it was written', () => {
    for (const size of [16_384, 65_536, 1 << 20]) {
      const { connection, receive, buffers } = echo(role);
      receive(pattern(size), pattern(size, 1));
      expect(buffers[1] === buffers[0]).toBe(false);
      const out = connection.takeOutput();
      receive(pattern(size, 2));
      expect(buffers.slice(0, 2).includes(buffers[2] as ArrayBuffer)).toBe(false);
      expect(payloads(out)).toEqual([digest(pattern(size)), digest(pattern(size, 1))]);
      for (const chunk of out) connection.recycleOutput(chunk);
      receive(pattern(size, 3), pattern(size, 4));
      expect(buffers.slice(0, 2).includes(buffers[3] as ArrayBuffer)).toBe(true);
      expect(buffers.slice(0, 2).includes(buffers[4] as ArrayBuffer)).toBe(true);
      expect(payloads(connection.takeOutput())).toEqual([2, 3, 4].map((seed) => digest(pattern(size, seed))));
    }
  });

  it('is copied by what is sent below 16 KiB, and its memory used at once', () => {
    const { connection, receive, buffers } = echo(role);
    receive(pattern(16_383), pattern(16_383, 1));
    expect(buffers[1] === buffers[0]).toBe(true);
    expect(payloads(connection.takeOutput())).toEqual([digest(pattern(16_383)), digest(pattern(16_383, 1))]);
  });

  it('may have gone to several connections, and comes back when the last has written it', () => {
    const others = [open({ role: 'server' }).connection, open({ role: 'server' }).connection] as const;
    const { connection, receive, buffers } = echo(role, (data) => {
      for (const other of others) other.sendBinary(data);
      connection.recycleInput(data);
      connection.recycleInput(data);
    });
    receive(pattern(40_000));
    const outs = others.map((other) => other.takeOutput());
    for (const [at, out] of outs.entries()) {
      receive(pattern(40_000, 9));
      expect(buffers.at(-1) === buffers[0]).toBe(false);
      expect(payloads(out)).toEqual([digest(pattern(40_000))]);
      for (const chunk of out) others[at]?.recycleOutput(chunk);
    }
    receive(pattern(40_000, 10));
    expect(buffers.at(-1) === buffers[0]).toBe(true);
  });

  it('comes back when its connection drops what it had to send', () => {
    const first = echo(role);
    first.receive(pattern(50_000));
    first.connection.abort();
    const second = echo(role);
    second.receive(pattern(50_000, 1));
    expect(second.buffers[0] === first.buffers[0]).toBe(true);
    second.connection.takeOutput();
    const third = echo(role);
    third.receive(pattern(50_000, 2));
    // Taken, and nobody has said that it was written.
    expect(third.buffers[0] === first.buffers[0]).toBe(false);
  });

  it('that is sent again after it was written counts again', () => {
    const { connection, receive, buffers } = echo(role, () => {});
    const data = pattern(20_000);
    for (const last of [false, true]) {
      connection.send(data, { transfer });
      if (last) connection.recycleInput(data);
      const out = connection.takeOutput();
      receive(pattern(20_000, 1));
      expect(buffers.at(-1) === data.buffer).toBe(false);
      for (const chunk of out) connection.recycleOutput(chunk);
    }
    receive(pattern(20_000, 2));
    expect(buffers.at(-1) === data.buffer).toBe(true);
  });

  it('that is kept stays as it is, though its memory had come back before', () => {
    const seen: Uint8Array[] = [];
    const { connection, receive } = echo(role, (data) => {
      connection.send(data, { transfer: role === 'server' });
      if (seen.push(data) === 1) connection.recycleInput(data);
    });
    for (let seed = 0; seed < 4; seed++) {
      receive(pattern(20_000, seed));
      for (const chunk of connection.takeOutput()) connection.recycleOutput(chunk);
    }
    expect(seen[1]?.buffer === seen[0]?.buffer).toBe(true);
    expect(seen.slice(1).map(digest)).toEqual([1, 2, 3].map((seed) => digest(pattern(20_000, seed))));
  });

  it('that is copied to be masked is free at once', () => {
    const { connection, receive, buffers } = echo(role, (data) => {
      connection.send(data);
      connection.recycleInput(data);
    });
    receive(pattern(20_000), pattern(20_000, 1));
    expect(buffers[0] === buffers[1]).toBe(role === 'client');
    expect(payloads(connection.takeOutput())).toEqual([digest(pattern(20_000)), digest(pattern(20_000, 1))]);
  });

  it('that waits for a transform stays until that has read it', () => {
    let isOpen = false;
    let ready: () => void = () => {};
    const slow: Extension = {
      name: 'slow',
      rsv: 4,
      inbound: () => identity(),
      outbound: (_role, isReady) => {
        ready = isReady;
        return {
          begin: () => 4,
          push: (input, start, end, _fin, out) => {
            if (!isOpen) return { consumed: 0, status: 'pending' };
            const count = Math.min(out.room, end - start);
            out.write(input, start, start + count);
            return { consumed: count, status: count < end - start ? 'more' : 'need' };
          },
          cacheKey: null,
        };
      },
    };
    const other = new Connection({ role: 'server', clock: () => 0, extensions: [slow] });
    for (const ends of [false, true]) {
      isOpen = false;
      const { connection, receive, buffers } = echo(role, (data) => {
        other.sendBinary(data);
        connection.recycleInput(data);
      });
      receive(pattern(100_000), pattern(100_000, 1));
      receive(pattern(100_000, 2));
      expect(new Set(buffers).size).toBe(3);
      if (ends) other.abort();
      else {
        isOpen = true;
        ready();
        // A step at a time.
        for (let turn = 0; turn < 20; turn++) other.handleTimeout();
        expect(payloads(other.takeOutput())).toEqual([0, 1, 2].map((seed) => digest(pattern(100_000, seed))));
      }
      const next = echo(role, () => {});
      next.receive(pattern(100_000, 3));
      expect(buffers.includes(next.buffers[0] as ArrayBuffer)).toBe(true);
    }
  });

  it('without its buffer does no harm', () => {
    const { connection, receive, buffers } = echo(role);
    receive(pattern(30_000));
    const [buffer] = buffers;
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    expect(connection.takeOutput()).toEqual([]);
    const { receive: receiveNext, connection: next } = echo(role);
    receiveNext(pattern(30_000, 1));
    expect(payloads(next.takeOutput())).toEqual([digest(pattern(30_000, 1))]);
  });
});

describe('memory that waits to be used again', () => {
  /** Sizes of what is handed out again, of buffers that were given back in this order. */
  function kept(sizes: readonly number[]): number[] {
    const mine = new Set<ArrayBufferLike>();
    const buffers: ArrayBufferLike[] = [];
    const sink = { onBinary: (data: Uint8Array): void => void buffers.push(data.buffer) };
    const allocate = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size);
    const connection = new Connection({ role: 'client', clock: () => 0, sink, kernels: { allocate } });
    for (const size of sizes) {
      const data = new Uint8Array(size);
      mine.add(data.buffer);
      connection.recycleInput(data);
    }
    for (const size of sizes) connection.receiveData(peerOf('client').binary(pattern(size)));
    return buffers.filter((buffer) => mine.has(buffer)).map(({ byteLength }) => byteLength);
  }
  it('is 64 pieces and 4 MiB at most, the last ones', () => {
    expect(kept(Array(64).fill(5000))).toHaveLength(64);
    expect(kept(Array(65).fill(5000))).toHaveLength(64);
    expect(kept(Array(4).fill(1 << 20))).toHaveLength(4);
    expect(kept(Array(5).fill(1 << 20))).toHaveLength(4);
    expect(kept([4096, 1 << 20, 1 << 20, 1 << 20, 1 << 20])).toEqual(Array(4).fill(1 << 20));
    expect(kept([1 << 20, 1 << 20, 1 << 20, (1 << 20) - 4096, 4096])).toHaveLength(5);
  });
  it('serves every connection with memory from the same source, and no other', () => {
    const allocate = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size);
    const buffers: ArrayBufferLike[] = [];
    const make = (role: Role, kernels: Kernels | undefined): Connection => {
      const sink = { onBinary: (data: Uint8Array): void => void buffers.push(data.buffer) };
      return new Connection({ role, clock: () => 0, sink, ...(kernels === undefined ? {} : { kernels }) });
    };
    const [mine, other] = [new Uint8Array(7000), new Uint8Array(7000)];
    make('server', { allocate }).recycleInput(mine);
    make('server', undefined).recycleInput(other);
    for (const kernels of [{ allocate: (size: number) => new Uint8Array(size) }, { allocate }, undefined]) {
      make('client', kernels).receiveData(peerOf('client').binary(pattern(7000)));
    }
    expect(buffers.map((buffer) => [buffer === mine.buffer, buffer === other.buffer])).toEqual([
      [false, false],
      [true, false],
      [false, true],
    ]);
  });
  it('serves sizes that are mixed', () => {
    expect(kept([5000, 900_000, 30_000, 100_000])).toEqual([5000, 900_000, 30_000, 100_000]);
  });
});

describe('any order of sending, taking, writing and giving back', () => {
  const act = fc.record({
    at: fc.nat(3),
    to: fc.nat(3),
    act: fc.constantFrom('receive' as const, 'receive' as const, 'take' as const, 'written' as const, 'end' as const),
    size: fc.constantFrom(5000, 16_384, 17_000, 30_000, 66_000),
  });
  it('changes no byte of what goes out', () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 10, maxLength: 120 }), (acts) => {
        let seed = 0;
        const make = () => {
          const side = {
            out: [] as { chunk: Uint8Array; copy: Uint8Array }[],
            sent: [] as string[],
            arrived: [] as Uint8Array[],
            to: 0,
            connection: null as unknown as Connection,
          };
          side.connection = new Connection({
            role: 'server',
            clock: () => 0,
            sink: {
              onBinary(data) {
                for (const at of new Set([side.to, (side.to * 2) % 4])) {
                  const other = sides[at];
                  if (other?.connection.sendBinary(data) === true) other.sent.push(digest(data));
                }
                side.connection.recycleInput(data);
              },
            },
          });
          return side;
        };
        const sides = Array.from({ length: 4 }, make);
        const peer = peerOf('server');
        const write = (side: (typeof sides)[number]): void => {
          const entry = side.out.shift();
          if (entry === undefined) return;
          expect(Buffer.compare(entry.chunk, entry.copy)).toBe(0);
          side.arrived.push(entry.copy);
          side.connection.recycleOutput(entry.chunk);
        };
        const take = (side: (typeof sides)[number]): void => {
          for (const chunk of side.connection.takeOutput()) side.out.push({ chunk, copy: Uint8Array.from(chunk) });
        };
        for (const { at, to, act: what, size } of acts) {
          const side = sides[at];
          if (side === undefined) continue;
          if (what === 'receive') {
            side.to = to;
            side.connection.receiveData(peer.binary(pattern(size, seed++)));
          } else if (what === 'take') take(side);
          else if (what === 'written') write(side);
          else if (seed % 5 === 0) {
            while (side.out.length > 0) write(side);
            side.connection.abort();
            sides[at] = make();
          }
        }
        for (const side of sides) {
          take(side);
          while (side.out.length > 0) write(side);
          expect(payloads(side.arrived)).toEqual(side.sent);
        }
      }),
      { numRuns: 100 },
    );
  });
});

it('a message of a view that came back is not shown in two', () => {
  const twice: Extension = extension('x', 4, identity);
  const { connection, receive, peer, of } = open({ role: 'server', extensions: [twice] });
  receive(peer.binary(pattern(20_000)));
  const [first] = of('binary');
  if (first === undefined) throw new Error('a message');
  connection.recycleInput(first.data);
  connection.recycleInput(first.data);
  receive(peer.binary(pattern(20_000, 1)), peer.binary(pattern(20_000, 2)));
  expect(of('binary')[1]?.data.buffer).toBe(first.data.buffer);
  expect(of('binary')[2]?.data.buffer === first.data.buffer).toBe(false);
});
