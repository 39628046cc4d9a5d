/** The transport over a socket that only looks like one of Bun's: whatever the kernel takes, everything goes out once and in order. */
import type { DriverHandle } from '@ferrywire/driver';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BunTransport } from '../dist/transport.js';

/** `take`: how many of so many bytes the kernel takes. */
function socketThat(take: (size: number) => number) {
  const log: string[] = [];
  const written: number[] = [];
  const socket = {
    data: undefined,
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    readyState: 1,
    write(bytes: Uint8Array, from = 0, length = bytes.length) {
      const count = Math.min(take(length), length);
      if (count > 0) written.push(...bytes.subarray(from, from + count));
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
    receiveError: () => void events.push('error'),
  };
  return { events, handle: handle as unknown as DriverHandle };
}

describe('BunTransport', () => {
  it('sends everything once and in order, however little the kernel takes', () => {
    const writes = fc.array(fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(writes, fc.infiniteStream(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 70_000 }))), (sizes, takes) => {
        const { socket, written, log } = socketThat(() => takes.next().value as number);
        const { handle, events } = driver();
        const transport = new BunTransport(socket, false);
        transport.join(handle);
        let byte = 0;
        const sent: number[] = [];
        for (const each of sizes) {
          const chunks = each.map((size) => Uint8Array.from({ length: size }, () => byte++ & 0xff));
          for (const chunk of chunks) sent.push(...chunk);
          const room = transport.write(chunks);
          expect(room).toBe(transport.bufferedAmount === 0);
          expect(transport.taken).toBe(room);
          // Once taken, the memory is the connection's again.
          if (room) for (const chunk of chunks) chunk.fill(0xee);
          expect(written.length + transport.bufferedAmount).toBe(sent.length);
        }
        const stalled = transport.bufferedAmount > 0;
        for (let drains = 0; drains < 10_000 && transport.bufferedAmount > 0; drains++) transport.drained();
        expect(Buffer.compare(Buffer.from(written), Buffer.from(sent))).toBe(0);
        expect(events).toEqual(stalled ? ['drain'] : []);
        expect(log).toEqual([]);
      }),
      { numRuns: 60 },
    );
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
    expect([written, log, events]).toEqual([[1, 2, 3], ['shutdown'], []]);
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

  it('hears of a socket that closed before it had a driver', () => {
    const { socket } = socketThat(() => 0);
    const transport = new BunTransport({ ...socket, readyState: 0 }, false);
    const { handle, events } = driver();
    transport.join(handle);
    expect(events).toEqual(['gone']);
  });
});
