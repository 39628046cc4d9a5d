/**
 * How much work of transforms one turn does, by the clock: with a clock that moves at each step the number of steps is exact. What is left goes
 * on in the next turn, and a transform that calls `ready` from inside a step is not called again before that step has ended.
 */
import { Connection, type Extension, type InboundTransform, type OutboundTransform } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, digest, type Harness, open, pattern } from './connection-helpers.ts';
import { extension, identity, message, plainOutbound } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

interface Steps {
  count: number;
  pending: boolean;
  ready: () => void;
}
/** A transform both ways that takes `size` bytes and `ms` milliseconds a step, and gives them out as they are. */
function stepping(size: number, ms: number, harness: () => Harness, steps: Steps): Extension {
  const push: OutboundTransform['push'] = (input, start, end, _fin, out) => {
    if (steps.pending) return { consumed: 0, status: 'pending' };
    const count = Math.min(size, end - start, out.room);
    if (count > 0) {
      steps.count++;
      harness().now += ms;
      out.write(input, start, start + count);
    }
    return { consumed: count, status: start + count < end ? 'more' : 'need' };
  };
  const inbound: InboundTransform = {
    begin: (_kind, rsv) => rsv !== 0,
    push: (input, start, end, out) => push(input, start, end, false, out),
    finish: () => 'need',
  };
  return {
    name: 'stepping',
    rsv: 4,
    inbound(_role, ready) {
      steps.ready = ready;
      return inbound;
    },
    outbound: () => ({ cacheKey: null, begin: () => 4, push }),
  };
}
function start(size: number, ms: number, pulls = false): { readonly harness: Harness; readonly steps: Steps; taken(): number } {
  const steps: Steps = { count: 0, pending: false, ready: () => undefined };
  const extensions = [stepping(size, ms, () => harness, steps)];
  const harness: Harness = open({ role: 'server', extensions, timeouts: { keepalive: 0 }, mode: pulls ? 'pull' : 'push' });
  return {
    harness,
    steps,
    /** Steps since the last time. */
    taken() {
      const { count } = steps;
      steps.count = 0;
      return count;
    },
  };
}
/** Steps of each turn that follows, until nothing is left. */
function turns({ harness }: { readonly harness: Harness }, taken: () => number): number[] {
  const counts: number[] = [];
  for (let turn = 0; turn < 1000 && (harness.connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now; turn++) {
    harness.connection.handleTimeout();
    counts.push(taken());
  }
  return counts;
}

describe('a turn of sending', () => {
  it.each([
    // Step, milliseconds of each; steps of the first turn, of the second. 64 KiB are done before the first look at the clock.
    [5000, 1, 14, 6],
    [5000, 6, 14, 1],
    [5000, 7, 14, 1],
    [4097, 7, 16, 1],
    [4096, 7, 17, 2],
    [4096, 5, 17, 2],
    [4096, 2, 17, 4],
    [3000, 2, 22, 4],
  ])('in steps of %i bytes and %i ms', (size, ms, first, next) => {
    const endpoint = start(size, ms);
    endpoint.harness.connection.sendBinary(pattern(size * 40));
    expect(endpoint.taken()).toBe(first);
    endpoint.harness.connection.handleTimeout();
    expect(endpoint.taken()).toBe(next);
    turns(endpoint, endpoint.taken);
    expect(digest(endpoint.harness.frames()[0]?.payload as Uint8Array)).toBe(digest(pattern(size * 40)));
  });

  it('is one for all messages: each does not get its own', () => {
    const endpoint = start(5000, 1);
    const { connection } = endpoint.harness;
    for (const size of [60_000, 60_000, 10]) connection.sendBinary(pattern(size));
    expect(endpoint.taken()).toBe(14);
    expect(turns(endpoint, endpoint.taken)).toEqual([6, 5]);
    expect(endpoint.harness.frames().map(({ payload }) => payload.length)).toEqual([60_000, 60_000, 10]);
    const small = start(5000, 1);
    for (let count = 0; count < 40; count++) small.harness.connection.sendBinary(pattern(3000));
    expect(small.taken()).toBe(22);
    expect(turns(small, small.taken)).toEqual([6, 6, 6]);
    expect(small.harness.frames().length).toBe(40);
  });

  it('is over as soon for short messages, each of which costs as much as 256 bytes', () => {
    const endpoint = start(5000, 1);
    const { harness } = endpoint;
    for (let count = 0; count < 1000; count++) harness.connection.sendText('a');
    expect(endpoint.taken()).toBe(257);
    const rest = turns(endpoint, endpoint.taken);
    expect([Math.max(...rest), rest.length]).toEqual([17, 44]);
    expect(harness.frames().length).toBe(1000);
  });

  it('begins anew when the output was taken', () => {
    const endpoint = start(5000, 1);
    const { connection } = endpoint.harness;
    for (let turn = 0; turn < 3; turn++) {
      connection.sendBinary(pattern(60_000));
      expect(endpoint.taken()).toBe(12);
      expect(endpoint.harness.frames().length).toBe(1);
    }
  });

  it('begins anew with wake(), however long that took', () => {
    const endpoint = start(5000, 1);
    const { harness, steps } = endpoint;
    steps.pending = true;
    harness.connection.sendBinary(pattern(200_000));
    expect(endpoint.taken()).toBe(0);
    harness.advance(1000);
    steps.pending = false;
    harness.connection.wake();
    expect(endpoint.taken()).toBe(6);
    turns(endpoint, endpoint.taken);
    expect(harness.frames()[0]?.payload.length).toBe(200_000);
  });

  it.each(roles)('does nothing inside itself, %s', (role) => {
    let depth = 0;
    let deepest = 0;
    let tell = (): void => undefined;
    const outbound: OutboundTransform = {
      cacheKey: null,
      begin: () => 4,
      push(input, from, end, _fin, out) {
        deepest = Math.max(deepest, ++depth);
        tell();
        const count = Math.min(1000, end - from, out.room);
        out.write(input, from, from + count);
        tell();
        depth--;
        return { consumed: count, status: from + count < end ? 'more' : 'need' };
      },
    };
    const eager: Extension = {
      name: 'eager',
      rsv: 4,
      inbound: () => identity(),
      outbound(_role, ready) {
        tell = ready;
        return outbound;
      },
    };
    const { connection, frames } = open({ role, extensions: [eager] });
    for (const size of [50, 30_000, 90_000]) connection.sendBinary(pattern(size));
    expect(deepest).toBe(1);
    expect(frames().map(({ payload }) => digest(payload))).toEqual([50, 30_000, 90_000].map((size) => digest(pattern(size))));
  });
});

describe('a turn of receiving', () => {
  it.each([
    [5000, 1, 14, 6],
    [4096, 2, 17, 4],
    [4097, 7, 16, 1],
    // A step that ends by itself was work, however few its bytes: as for 4096 of them.
    [500, 1, 16, 6],
    [500, 10, 16, 2],
  ])('in steps of %i bytes and %i ms', (size, ms, first, next) => {
    const endpoint = start(size, ms);
    const { harness } = endpoint;
    // Pieces of input end where a step does.
    const frame = message(harness.peer, 2, 4, pattern(size * 40));
    harness.receive(frame);
    const steps = [endpoint.taken(), ...turns(endpoint, endpoint.taken)];
    expect(steps.length).toBeGreaterThan(3);
    expect(harness.of('binary').map(({ data }) => digest(data))).toEqual([digest(pattern(size * 40))]);
    // A slice of input that ends within a step makes one more of it.
    expect(steps[0]).toBeGreaterThanOrEqual(first);
    expect(steps[0]).toBeLessThan(first + 6);
    expect(steps[1]).toBeGreaterThanOrEqual(next);
    expect(steps[1]).toBeLessThanOrEqual(next + 2);
  });

  it('of input that gives next to nothing', () => {
    let now = 0;
    let steps = 0;
    // Takes what it is given, all of a slice, and gives one byte for it.
    const grudging: InboundTransform = {
      begin: () => true,
      push(input, start, end, out) {
        steps++;
        now += 1;
        out.write(input, start, start + 1);
        return { consumed: end - start, status: 'need' };
      },
      finish: () => 'need',
    };
    const connection = new Connection({
      role: 'client',
      clock: () => now,
      extensions: [extension('grudging', 4, () => grudging)],
      timeouts: { keepalive: 0 },
      sink: {},
    });
    connection.receiveData(serializeFrame({ opcode: 2, rsv: 4, payload: pattern(1 << 20) }));
    // 64 KiB of it, then what six milliseconds are enough for: not all of the 64 slices.
    expect(steps).toBeLessThanOrEqual(4 + 6);
    for (let turn = 0; turn < 64 && steps < 64; turn++) {
      const before = steps;
      connection.handleTimeout(now);
      expect(steps - before).toBeLessThanOrEqual(7);
    }
    expect(steps).toBe(64);
    expect(connection.stats.messagesIn).toBe(1);
  });

  it('begins anew with wake(), however long that took', () => {
    const endpoint = start(4096, 1);
    const { harness, steps } = endpoint;
    steps.pending = true;
    harness.receive(message(harness.peer, 2, 4, pattern(200_000)));
    expect(endpoint.taken()).toBe(0);
    harness.advance(1000);
    steps.pending = false;
    harness.connection.wake();
    expect(endpoint.taken()).toBe(6);
    turns(endpoint, endpoint.taken);
    expect(harness.of('binary').map(({ data }) => data.length)).toEqual([200_000]);
  });

  it('input that comes in between waits for its turn, and nothing is lost', () => {
    const endpoint = start(5000, 1);
    const { harness } = endpoint;
    const sizes = [100_000, 70_000, 10, 90_000];
    harness.receive(...sizes.map((size) => message(harness.peer, 2, 4, pattern(size))));
    expect(harness.connection.wantsRead).toBe(false);
    turns(endpoint, endpoint.taken);
    expect(harness.of('binary').map(({ data }) => digest(data))).toEqual(sizes.map((size) => digest(pattern(size))));
    expect(harness.connection.wantsRead).toBe(true);
  });

  it('an extension that sends everything as it is takes no turn', () => {
    const harness = open({ role: 'server', extensions: [extension('plain', 4, identity, plainOutbound)] });
    harness.connection.sendBinary(pattern(400_000));
    expect(concat(...harness.connection.takeOutput()).length).toBe(400_010);
    expect(harness.connection.nextTimeout()).toBe(harness.now + 20_000);
  });
});

describe('received work that the host holds', () => {
  it.each(['stopped by the clock', 'woken meanwhile'])('waits for as long as it is held: %s', (how) => {
    const endpoint = start(5000, 1);
    const { harness, steps } = endpoint;
    const { connection } = harness;
    steps.pending = how === 'woken meanwhile';
    harness.receive(message(harness.peer, 2, 4, pattern(200_000)));
    expect(endpoint.taken() > 0).toBe(!steps.pending);
    connection.holdWork(true);
    steps.pending = false;
    if (how === 'woken meanwhile') connection.wake();
    for (let turn = 0; turn < 3; turn++) {
      connection.handleTimeout();
      expect([endpoint.taken(), connection.nextTimeout(), connection.wantsRead]).toEqual([0, null, false]);
    }
    connection.holdWork(false);
    expect(connection.nextTimeout()).toBeLessThanOrEqual(harness.now);
    // One turn at a time, each of which says that there is another.
    expect(turns(endpoint, endpoint.taken).length).toBeGreaterThan(2);
    expect(harness.of('binary').map(({ data }) => digest(data))).toEqual([digest(pattern(200_000))]);
    expect([connection.nextTimeout(), connection.wantsRead]).toEqual([null, true]);
  });

  it('does not while the application has paused, held or not', () => {
    const endpoint = start(5000, 1);
    const { harness } = endpoint;
    const { connection } = harness;
    harness.receive(message(harness.peer, 2, 4, pattern(200_000)));
    endpoint.taken();
    expect(connection.unread).toBe(true);
    connection.pause();
    for (const isHeld of [false, true, false]) {
      connection.holdWork(isHeld);
      connection.handleTimeout();
      expect([endpoint.taken(), connection.nextTimeout()]).toEqual([0, null]);
    }
    connection.resume();
    turns(endpoint, endpoint.taken);
    expect(harness.of('binary').map(({ data }) => data.length)).toEqual([200_000]);
    expect(connection.unread).toBe(false);
  });

  it('is no work of who pulls: each event is asked for', () => {
    const endpoint = start(5000, 1, true);
    const { harness, steps } = endpoint;
    const { connection } = harness;
    steps.pending = true;
    connection.receiveData(message(harness.peer, 2, 4, pattern(60_000)));
    expect(connection.nextEvent()).toBe(null);
    connection.holdWork(true);
    steps.pending = false;
    connection.wake();
    expect(connection.nextEvent()).toMatchObject({ type: 'message' });
    expect(connection.nextTimeout()).toBe(null);
  });
});
