/** The transport over a socket that only looks like one of Bun's: whatever the kernel takes, everything goes out once and in order. */
import type { DriverHandle } from '@ferrywire/driver';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BunTransport, socketHandlers } from '../dist/transport.js';

/** `take`: how many of so many bytes the kernel takes. */
function socketThat(take: (size: number) => number) {
  const log: string[] = [];
  const written: Uint8Array[] = [];
  const socket = {
    data: undefined,
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    readyState: 1,
    write(bytes: Uint8Array, from = 0, length = bytes.length) {
      const count = Math.min(take(length), length);
      if (count > 0) written.push(bytes.slice(from, from + count));
      return count;
    },
    shutdown: () => void log.push('shutdown'),
    terminate: () => void log.push('terminate'),
    pause: () => void log.push('pause'),
    resume: () => void log.push('resume'),
    ref: () => {},
    unref: () => {},
    setNoDelay: () => true,
  };
  return { socket, written, log };
}
function driver() {
  const events: string[] = [];
  const handle = {
    drained: () => void events.push('drain'),
    gone: () => void events.push('gone'),
    receiveEof: () => void events.push('eof'),
    receiveError: () => void events.push('error'),
  };
  return { events, handle: handle as unknown as DriverHandle };
}

describe('BunTransport', () => {
  it('sends everything once and in order, however little the kernel takes', () => {
    // Some are joined, and some are more than is joined, alone or together.
    const size = fc.oneof(
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 60_000, max: 80_000 }),
      fc.constant(147_456),
      fc.constant(150_000),
    );
    const writes = fc.array(fc.array(size, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });
    const takes = fc.infiniteStream(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 70_000 }), fc.constant(Number.POSITIVE_INFINITY)));
    fc.assert(
      fc.property(writes, takes, (sizes, takes) => {
        const { socket, written, log } = socketThat(() => takes.next().value as number);
        const { handle, events } = driver();
        const transport = new BunTransport(socket, false);
        transport.join(handle);
        let sent = Buffer.alloc(0);
        for (const each of sizes) {
          const chunks = each.map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) % 251));
          sent = Buffer.concat([sent, ...chunks]);
          const room = transport.write(chunks);
          expect(room).toBe(transport.bufferedAmount === 0);
          expect(transport.taken).toBe(room);
          // Once taken, the memory is the connection's again.
          if (room) for (const chunk of chunks) chunk.fill(0xee);
          expect(Buffer.concat(written).length + transport.bufferedAmount).toBe(sent.length);
        }
        const stalled = transport.bufferedAmount > 0;
        for (let drains = 0; drains < 10_000 && transport.bufferedAmount > 0; drains++) transport.drained();
        expect(Buffer.compare(Buffer.concat(written), sent)).toBe(0);
        expect(events).toEqual(stalled ? ['drain'] : []);
        expect(log).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('writes two messages of 64 KiB and their headers at once, a third by itself, and what is larger as it is', () => {
    const { socket, written } = socketThat((size) => size);
    const transport = new BunTransport(socket, false);
    transport.join(driver().handle);
    const message = [new Uint8Array(10), new Uint8Array(65_536)];
    transport.write([...message, ...message, ...message]);
    expect(written.map(({ length }) => length)).toEqual([131_102, 65_536]);
    written.length = 0;
    transport.write([new Uint8Array(10), new Uint8Array(150_000), new Uint8Array(5)]);
    expect(written.map(({ length }) => length)).toEqual([10, 150_000, 5]);
  });

  it('ends the write side behind what waits, and says nothing of room then', () => {
    let room = 2;
    const { socket, written, log } = socketThat(() => room);
    const { handle, events } = driver();
    const transport = new BunTransport(socket, false);
    transport.join(handle);
    expect(transport.write([Uint8Array.of(1, 2, 3)])).toBe(false);
    transport.end();
    expect(log).toEqual([]);
    room = 100;
    transport.drained();
    expect([[...Buffer.concat(written)], log, events]).toEqual([[1, 2, 3], ['shutdown'], []]);
    transport.drained();
    expect(log).toEqual(['shutdown']);
  });

  it('drops what waits when it is aborted or closed', () => {
    for (const how of ['abort', 'closed'] as const) {
      const { socket, log } = socketThat(() => 0);
      const { handle, events } = driver();
      const transport = new BunTransport(socket, false);
      transport.join(handle);
      transport.write([Uint8Array.of(1)]);
      if (how === 'abort') transport.abort();
      else transport.closed(new Error('reset'));
      expect(transport.bufferedAmount).toBe(0);
      expect([log, events]).toEqual(how === 'abort' ? [['terminate'], []] : [[], ['error', 'gone']]);
    }
  });

  it('keeps nothing for a socket that turns out to have closed', () => {
    const { socket, written } = socketThat(() => -1);
    const transport = new BunTransport(socket, false);
    transport.join(driver().handle);
    for (const chunks of [[Uint8Array.of(1)], [Uint8Array.of(1), Uint8Array.of(2)]]) {
      expect([transport.write(chunks), transport.bufferedAmount, written.length]).toEqual([true, 0, 0]);
    }
  });

  it('reads on at the end of the peer that came while it was paused: Bun closes no socket that is', () => {
    const { socket, log } = socketThat(() => 0);
    const transport = new BunTransport(socket, false);
    const { handle, events } = driver();
    transport.join(handle);
    transport.pauseReading();
    log.length = 0;
    socketHandlers.end(socket);
    transport.end();
    expect([log, events]).toEqual([['resume', 'shutdown'], ['eof']]);
  });

  it('hears of a socket that closed before it had a driver', () => {
    const { socket } = socketThat(() => 0);
    const transport = new BunTransport({ ...socket, readyState: 0 }, false);
    const { handle, events } = driver();
    transport.join(handle);
    expect(events).toEqual(['gone']);
  });
});
