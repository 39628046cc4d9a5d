/**
 * A large message does not hold the event loop: work is left for the next turn when the turn's time is up, whatever the codec, the level and
 * the content cost, and after so many bytes where the clock says nothing.
 */
import { Connection, type ConnectionSink, type Extension } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { type DeflateCodec, serverDeflate } from '@ferrywire/deflate';
import { pakoCodec } from '@ferrywire/deflate/pako';
import { zlibCodec } from '@ferrywire/deflate/zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, hex, mixture, random } from '../dist/suite/harness.js';

const MIB = 1 << 20;
const QUIET = { keepalive: 0, pong: 0, idle: 0 } as const;
/** What core takes and gives per turn at most: 256 KiB when sending, 2 MiB of output when receiving, and one step more. */
const MOST_SENDING = 256 * 1024 + 128 * 1024;
const MOST_RECEIVING = 2 * MIB + 64 * 1024;
const codecs = [
  ['zlib', zlibCodec],
  ['pako', pakoCodec],
] as const;

function extension(codec: DeflateCodec, level = 6): Extension {
  const accepted = serverDeflate({ codec, level, threshold: 0 }).accept([], []);
  if (accepted === null) throw new Error('declined');
  return accepted.extension;
}
function ends(server: Extension, client: Extension, clock: () => number, sink: ConnectionSink) {
  const common = { clock, timeouts: QUIET, limits: { maxMessageSize: 8 * MIB } };
  return {
    sender: new Connection({ ...common, role: 'server', extensions: [server] }),
    receiver: new Connection({ ...common, role: 'client', extensions: [client], sink }),
  };
}
/** Calls `first`, then meets deadlines until none is due; `around` each turn. Returns how many turns there were. */
function turnsOf(
  connection: Connection,
  clock: () => number,
  first: () => void,
  around: (turn: () => void, index: number) => void,
): number {
  around(first, 0);
  for (let count = 1; count < 100_000; count++) {
    const due = connection.nextTimeout();
    if (due === null || due > clock()) return count;
    around(() => connection.handleTimeout(clock()), count);
  }
  throw new Error('no end');
}

/** A codec that takes its time: `cost(bytes)` milliseconds a step, of virtual time. Keeps the longest step. */
function slow(codec: DeflateCodec, cost: (bytes: number) => number) {
  const time = { now: 0, longest: 0, steps: 0, bytes: 0 };
  const spend = (bytes: number): void => {
    const milliseconds = cost(bytes);
    time.now += milliseconds;
    time.bytes += bytes;
    time.longest = Math.max(time.longest, milliseconds);
    time.steps++;
  };
  const wrapped: DeflateCodec = {
    ...codec,
    createDeflate(...settings) {
      const raw = codec.createDeflate(...settings);
      return {
        push(input, start, end, flush, out) {
          const room = out.room;
          const step = raw.push(input, start, end, flush, out);
          spend(step.consumed + room - out.room);
          return step;
        },
        reset: () => raw.reset(),
        close: () => raw.close(),
      };
    },
    createInflate(windowBits) {
      const raw = codec.createInflate(windowBits);
      return {
        push(input, start, end, out) {
          const room = out.room;
          const step = raw.push(input, start, end, out);
          spend((step?.consumed ?? 0) + room - out.room);
          return step;
        },
        finish: (out) => raw.finish?.(out) ?? null,
        reset: () => raw.reset(),
        close: () => raw.close(),
      };
    },
  };
  return { codec: wrapped, time };
}

describe.each(codecs)('%s', (_name, codec) => {
  it('a turn ends when its time is up, at any speed of the codec, in both directions', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2, noNaN: true }), fc.integer({ min: 1, max: MIB }), fc.nat(), (perKib, size, seed) => {
        const message = mixture(random(seed), size);
        const { codec: taking, time } = slow(codec, (bytes) => (bytes / 1024) * perKib);
        const received: Uint8Array[] = [];
        const clock = () => time.now;
        const { sender, receiver } = ends(extension(taking), extension(taking), clock, { onBinary: (data) => void received.push(data) });
        const bounded = (most: number) => (turn: () => void, index: number) => {
          const [before, bytes] = [time.now, time.bytes];
          turn();
          // Six milliseconds, and the step that was under way, or what is too small to look at the clock for: at first 64 KiB.
          const unseen = index === 0 ? 2 * 64 * perKib : 2 * 8 * perKib;
          expect(time.now - before).toBeLessThanOrEqual(6 + time.longest + unseen + 1e-6);
          expect(time.bytes - bytes).toBeLessThanOrEqual(most);
        };
        turnsOf(sender, clock, () => sender.sendBinary(message), bounded(MOST_SENDING));
        const wire = concat(sender.takeOutput());
        turnsOf(receiver, clock, () => receiver.receiveData(wire), bounded(MOST_RECEIVING + size));
        expect(Buffer.compare(received[0] as Uint8Array, message)).toBe(0);
        sender.abort();
        receiver.abort();
      }),
      { numRuns: 25 },
    );
  });

  // Two bytes make a block with BFINAL=1, and each costs as much work as kilobytes that are what they seem.
  it.each([
    ['nothing', '0300', '0300'],
    ['a byte now and then', '0300', '4b0400'],
    ['a byte each', '4b0400', '4b0400'],
  ])('of blocks that end the stream and give %s no turn does more than its share', (_what, block, now) => {
    const payload = hex(`${block.repeat(249)}${now}`.repeat(60).slice(0, 80_000 - (80_000 % block.length)));
    const { codec: taking, time } = slow(codec, () => 1);
    const clock = () => time.now;
    const received: Uint8Array[] = [];
    const { sender, receiver } = ends(extension(codec), extension(taking), clock, { onBinary: (data) => void received.push(data) });
    const wire = serializeFrame({ opcode: 2, rsv: 4, payload: concat([payload, hex('00')]) });
    turnsOf(
      receiver,
      clock,
      () => receiver.receiveData(wire),
      (turn, index) => {
        const before = time.now;
        turn();
        // Six milliseconds, the step that was under way, and what is too small to look at the clock for: at first 16 steps.
        expect(time.now - before).toBeLessThanOrEqual(index === 0 ? 6 + 1 + 16 : 6 + 1 + 1);
      },
    );
    expect(time.steps).toBeGreaterThan(50);
    expect(received).toHaveLength(1);
    sender.abort();
    receiver.abort();
  });

  it('64 KiB are done at once, whatever the clock says', () => {
    const { codec: taking, time } = slow(codec, () => 1000);
    const received: Uint8Array[] = [];
    const clock = () => time.now;
    const { sender, receiver } = ends(extension(taking), extension(taking), clock, { onBinary: (data) => void received.push(data) });
    const message = mixture(random(6), 64 * 1024);
    sender.sendBinary(message);
    receiver.receiveData(concat(sender.takeOutput()));
    expect(Buffer.compare(received[0] as Uint8Array, message)).toBe(0);
    expect(sender.nextTimeout()).toBeNull();
  });

  it('a clock that stands still leaves the bounds in bytes', () => {
    const message = mixture(random(5), 4 * MIB);
    const { codec: counting, time } = slow(codec, () => 0);
    const received: Uint8Array[] = [];
    const clock = () => 0;
    const { sender, receiver } = ends(extension(counting), extension(counting), clock, { onBinary: (data) => void received.push(data) });
    const bounded = (most: number) => (turn: () => void) => {
      const bytes = time.bytes;
      turn();
      expect(time.bytes - bytes).toBeLessThanOrEqual(most);
    };
    const turns = turnsOf(sender, clock, () => sender.sendBinary(message), bounded(MOST_SENDING));
    expect(turns).toBeGreaterThanOrEqual(16);
    const wire = concat(sender.takeOutput());
    expect(turnsOf(receiver, clock, () => receiver.receiveData(wire), bounded(MOST_RECEIVING + wire.length))).toBeGreaterThanOrEqual(2);
    expect(Buffer.compare(received[0] as Uint8Array, message)).toBe(0);
  });

  it('many messages in one turn are bounded as one is', () => {
    const { codec: taking, time } = slow(codec, () => 1);
    const { sender } = ends(extension(taking), extension(codec), () => time.now, {});
    const message = mixture(random(8), 10_000);
    const before = time.steps;
    for (let count = 0; count < 100; count++) sender.sendBinary(message);
    // Two steps for each, and the clock is not looked at before 64 KiB.
    expect(time.steps - before).toBeLessThanOrEqual(20);
    const turns = turnsOf(
      sender,
      () => time.now,
      () => {},
      (turn) => {
        const start = time.steps;
        turn();
        expect(time.steps - start).toBeLessThanOrEqual(8);
      },
    );
    expect(turns).toBeGreaterThanOrEqual(10);
    expect(time.steps).toBeGreaterThanOrEqual(200);
    expect(sender.bufferedAmount).toBeGreaterThan(0);
    sender.abort();
  });

  // Four letters at random: the slowest content of those that are not made to be slow.
  it.each([6, 9])('level %d of slow content takes about 10 ms of CPU per turn', (level) => {
    const next = random(3);
    const message = Uint8Array.from({ length: MIB / 2 }, () => 'acgt'.charCodeAt(Math.floor(next() * 4)));
    const clock = () => performance.now();
    const { sender } = ends(extension(codec, level), extension(codec), clock, {});
    const turns: number[] = [];
    const timed = (turn: () => void): void => {
      const before = process.cpuUsage();
      turn();
      const { user, system } = process.cpuUsage(before);
      turns.push((user + system) / 1000);
    };
    turnsOf(sender, clock, () => sender.sendBinary(message), timed);
    turns.sort((a, b) => a - b);
    const [median = 0, worst = 0] = [turns[turns.length >> 1], turns.at(-1)];
    console.log(`level ${level}: ${turns.length} turns, median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} ms`);
    expect(median).toBeLessThan(15);
    expect(Buffer.byteLength(concat(sender.takeOutput()))).toBeGreaterThan(message.length / 8);
  });
});
