/** The transport over a connection that only looks like one of Deno's: which buffers are read into, and what a partial write leaves. */
import type { DriverHandle } from '@ferrywire/driver';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConnTransport } from '../dist/transport.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** `reads`: how much of the buffer each read fills, -1 for all of it; then the end. `takes`: how much each write takes. */
function connection(reads: readonly number[], takes: () => number = () => Number.POSITIVE_INFINITY) {
  const log: string[] = [];
  const sizes: number[] = [];
  const written: number[] = [];
  let next = 0;
  return {
    log,
    sizes,
    written,
    conn: {
      remoteAddr: { hostname: '127.0.0.1', port: 1 },
      async read(into: Uint8Array) {
        sizes.push(into.length);
        const wanted = reads[next++];
        if (wanted === undefined) return null;
        const count = wanted === -1 ? into.length : wanted;
        into.fill(next & 0xff, 0, count);
        return count;
      },
      async write(bytes: Uint8Array) {
        const count = Math.min(bytes.length, takes());
        written.push(...bytes.subarray(0, count));
        return count;
      },
      async closeWrite() {
        log.push('closeWrite');
      },
      close: () => void log.push('close'),
      ref: () => {},
      unref: () => {},
    },
  };
}
/** A driver that keeps what it is told. */
function driver() {
  const seen = { chunks: [] as { size: number; first: number | undefined }[], events: [] as string[] };
  const handle = {
    receive: (chunk: Uint8Array) => void seen.chunks.push({ size: chunk.length, first: chunk[0] }),
    receiveEof: () => void seen.events.push('eof'),
    receiveError: () => void seen.events.push('error'),
    drained: () => void seen.events.push('drain'),
    gone: () => void seen.events.push('gone'),
  };
  return { ...seen, handle: handle as unknown as DriverHandle };
}
async function read(reads: readonly number[]) {
  const { conn, sizes } = connection(reads);
  const seen = driver();
  new ConnTransport(conn, false).join(seen.handle);
  for (let turns = 0; turns < 10 && !seen.events.includes('eof'); turns++) await turn();
  return { sizes, ...seen };
}

describe('read buffers', () => {
  it('start with 4 KiB, grow after a read that filled them, up to 256 KiB', async () => {
    expect((await read([100, 4095, -1, 100, -1, -1, -1])).sizes).toEqual([4096, 4096, 4096, 16_384, 16_384, 65_536, 262_144, 262_144]);
  });

  it('shrink after 16 reads in a row that would have fitted into less, step by step', async () => {
    const small = Array.from({ length: 15 }, () => 10);
    // One that needs the size starts the count again.
    const { sizes } = await read([-1, -1, ...small, 20_000, ...small, 10, ...small, 10, 10]);
    expect(sizes.slice(0, 3)).toEqual([4096, 16_384, 65_536]);
    expect(sizes.slice(2, 34)).toEqual(Array(32).fill(65_536));
    expect(sizes.slice(34, 50)).toEqual(Array(16).fill(16_384));
    expect(sizes.slice(50)).toEqual([4096, 4096]);
  });

  it('are not shared by two connections, whatever they read', async () => {
    const sizes = fc.array(fc.oneof(fc.constant(-1), fc.integer({ min: 1, max: 4096 })), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(sizes, sizes, async (left, right) => {
        const results = await Promise.all([read(left), read(right)]);
        for (const { chunks } of results) expect(chunks.map(({ first }) => first)).toEqual(chunks.map((_, index) => (index + 1) & 0xff));
        expect(results.map(({ chunks }) => chunks.length)).toEqual([left.length, right.length]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('writing', () => {
  it('goes on where a partial write stopped, in order, and ends the write side behind it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 200 })),
        async (chunks, takes) => {
          const { conn, written, log } = connection([], () => takes.next().value as number);
          const transport = new ConnTransport(conn, false);
          for (const chunk of chunks) {
            transport.write([chunk]);
            // What was taken may be written over at once.
            if (transport.taken) chunk.fill(0xee);
          }
          transport.end();
          for (let turns = 0; turns < 50 && log.length === 0; turns++) await turn();
          expect(written.length).toBe(chunks.reduce((sum, { length }) => sum + length, 0));
          expect(transport.bufferedAmount).toBe(0);
          expect(log).toEqual(['closeWrite']);
        },
      ),
      { numRuns: 50 },
    );
    const { conn, written } = connection([], () => 3);
    const transport = new ConnTransport(conn, false);
    transport.write([Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5, 6, 7)]);
    for (let turns = 0; turns < 10; turns++) await turn();
    expect(written).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('closes when both sides have ended, in either order, and at once when it is aborted', async () => {
    const { conn, log } = connection([5]);
    const seen = driver();
    const transport = new ConnTransport(conn, false);
    transport.join(seen.handle);
    for (let turns = 0; turns < 10 && !seen.events.includes('eof'); turns++) await turn();
    expect([seen.events, log]).toEqual([['eof'], []]);
    transport.end();
    await turn();
    expect([seen.events, log]).toEqual([
      ['eof', 'gone'],
      ['closeWrite', 'close'],
    ]);
    const other = connection([5]);
    const aborted = new ConnTransport(other.conn, false);
    aborted.write([Uint8Array.of(1)]);
    aborted.abort();
    await turn();
    expect(other.log).toEqual(['close']);
  });
});
