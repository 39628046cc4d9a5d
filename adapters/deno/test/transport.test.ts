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
  const buffers = new Set<unknown>();
  const written: Uint8Array[] = [];
  let next = 0;
  return {
    log,
    sizes,
    buffers,
    written,
    conn: {
      remoteAddr: { hostname: '127.0.0.1', port: 1 },
      async read(into: Uint8Array) {
        sizes.push(into.length);
        buffers.add(into.buffer);
        const wanted = reads[next++];
        if (wanted === undefined) return null;
        const count = wanted === -1 ? into.length : wanted;
        into.fill(next & 0xff, 0, count);
        return count;
      },
      async write(bytes: Uint8Array) {
        const count = Math.min(bytes.length, takes());
        written.push(bytes.slice(0, count));
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
  const { conn, sizes, buffers } = connection(reads);
  const seen = driver();
  new ConnTransport(conn, false).join(seen.handle);
  for (let turns = 0; turns < 10 && !seen.events.includes('eof'); turns++) await turn();
  return { sizes, buffers, ...seen };
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

  it('of the largest size shrink only after small reads in a row as well', async () => {
    const small = Array.from({ length: 15 }, () => 10);
    const { sizes } = await read([-1, -1, -1, ...small, -1, ...small, 10, 10]);
    expect(sizes.slice(3, 35)).toEqual(Array(32).fill(262_144));
    expect(sizes.slice(35)).toEqual([65_536, 65_536]);
  });

  it('are kept for the next connection, four of the largest at most', async () => {
    const small = Array.from({ length: 16 }, () => 10);
    const six = async (): Promise<unknown[]> => {
      const all = await Promise.all(Array.from({ length: 6 }, () => read([-1, -1, -1, ...small, 10])));
      return all.flatMap(({ buffers }) => [...buffers]).filter((buffer) => (buffer as ArrayBuffer).byteLength === 262_144);
    };
    const before = new Set(await six());
    const after = await six();
    expect([before.size, after.length, after.filter((buffer) => before.has(buffer)).length]).toEqual([6, 6, 4]);
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
  it('waits for no answer to what was written before (Nagle)', () => {
    const set: boolean[] = [];
    new ConnTransport({ ...connection([]).conn, setNoDelay: (on = true) => void set.push(on) }, false);
    expect(set).toEqual([true]);
  });

  // Some are copied, several into one buffer, and some are more than a buffer holds.
  const size = fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 60_000, max: 80_000 }),
    fc.constantFrom(69_632, 69_633, 150_000),
  );

  it('goes on where a partial write stopped, in order, and ends the write side behind it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(size, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 70_000 }), fc.constant(Number.POSITIVE_INFINITY))),
        async (sizes, takes) => {
          const { conn, written, log } = connection([], () => takes.next().value as number);
          const transport = new ConnTransport(conn, false);
          let sent = Buffer.alloc(0);
          for (const each of sizes) {
            const chunks = each.map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) % 251));
            sent = Buffer.concat([sent, ...chunks]);
            transport.write(chunks);
            // What was taken may be written over at once.
            if (transport.taken) for (const chunk of chunks) chunk.fill(0xee);
          }
          transport.end();
          for (let turns = 0; turns < 100 && log.length === 0; turns++) await turn();
          expect(Buffer.compare(Buffer.concat(written), sent)).toBe(0);
          expect(transport.bufferedAmount).toBe(0);
          expect(log).toEqual(['closeWrite']);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('writes two messages of 64 KiB and their headers at once, a third by itself, and what is larger as it is', async () => {
    const { conn, written } = connection([]);
    const transport = new ConnTransport(conn, false);
    const message = [new Uint8Array(10), new Uint8Array(65_536)];
    transport.write([...message, ...message, ...message]);
    expect(transport.taken).toBe(true);
    for (let turns = 0; turns < 10 && transport.bufferedAmount > 0; turns++) await turn();
    expect(written.map(({ length }) => length)).toEqual([131_102, 65_536]);
    written.length = 0;
    transport.write([new Uint8Array(10), new Uint8Array(150_000), new Uint8Array(5)]);
    expect(transport.taken).toBe(false);
    for (let turns = 0; turns < 10 && transport.bufferedAmount > 0; turns++) await turn();
    expect(written.map(({ length }) => length)).toEqual([10, 150_000, 5]);
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
