/** What a turn of transforms is: in bytes and in time, to the byte; and what becomes of messages that wait behind it. */
import type { Connection, InboundTransform, OutboundTransform } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { type Harness, open, pattern, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { digest, doubled, doubling, drained, roles, sentMessages } from './sending-helpers.ts';

const QUIET = { keepalive: 0, closing: 0 };
/** Calls of `handleTimeout` until nothing is due. */
function turns(harness: Harness, each: () => void = () => {}): number {
  let count = 0;
  for (; (harness.connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now && count < 1000; count++) {
    harness.connection.handleTimeout();
    each();
  }
  return count;
}

describe.each(roles)('a turn of a %s', (role) => {
  // Doubling gives two bytes for one, and has room for 32 768 at a step: 98 304 bytes in and out, of 262 144 in a turn.
  it.each([
    [30_000, 0],
    [98_000, 0],
    [99_000, 1],
    [196_000, 1],
    [200_000, 2],
  ])('has room for so much of a message of %i bytes that %i more follow', (size, more) => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    harness.connection.sendBinary(pattern(size));
    expect(harness.connection.bufferedAmount > size * 2).toBe(more === 0);
    expect(turns(harness)).toBe(more);
    const [only] = sentMessages(harness.frames());
    expect(digest(only?.payload ?? new Uint8Array())).toBe(digest(doubled(pattern(size))));
    expect(harness.connection.bufferedAmount).toBe(0);
  });

  it('is shared by the messages of it, and ends when the output is taken', () => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    const { connection } = harness;
    const due = (): boolean => (connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now;
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 5; count++) {
        connection.sendBinary(pattern(20_000, count));
        expect(due()).toBe(false);
      }
      expect(sentMessages(harness.frames())).toHaveLength(5);
    }
    for (let count = 0; count < 6; count++) connection.sendText('x'.repeat(20_000));
    // The sixth is too much, and what comes behind it waits too.
    expect(due()).toBe(true);
    connection.sendText('behind');
    expect(sentMessages(harness.frames())).toHaveLength(5);
    expect([due(), connection.bufferedAmount]).toEqual([true, 20_006]);
    expect(turns(harness)).toBe(1);
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual(
      ['x'.repeat(20_000), 'behind'].map((text) => digest(doubled(utf8(text)))),
    );
  });

  it('ends when its time is up: not before 64 KiB, and then after the step', () => {
    for (const [ms, expected] of [
      [0, [30]],
      [1, [9, 6, 6, 6, 3]],
      [10, [9, ...Array.from({ length: 21 }, () => 1)]],
    ] as const) {
      let pushes = 0;
      const slow: OutboundTransform = {
        cacheKey: null,
        begin: () => 4,
        push(input, start, end, fin, out) {
          pushes++;
          harness.now += ms;
          const count = Math.min(8192, end - start, out.room);
          out.write(input, start, start + count);
          return { consumed: count, status: start + count < end || !fin ? 'more' : 'need' };
        },
      };
      const harness: Harness = open({ role, extensions: [extension('slow', 4, identity, slow)], timeouts: QUIET });
      const counts: number[] = [];
      const note = (): void => {
        counts.push(pushes);
        pushes = 0;
      };
      // Half of it is what a turn has in bytes.
      harness.connection.sendBinary(pattern(15 * 8192));
      if (ms === 0) {
        note();
        turns(harness, note);
        expect(counts).toEqual([15]);
        continue;
      }
      note();
      turns(harness, note);
      expect(counts.slice(0, 2)).toEqual(expected.slice(0, 2));
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(15);
      const [only] = sentMessages(harness.frames());
      expect(digest(only?.payload ?? new Uint8Array())).toBe(digest(pattern(15 * 8192)));
    }
  });

  it.each([
    [0, 7],
    [10, 4],
  ])('ends so for messages that are done at once: %i ms each, room for %i', (ms, room) => {
    const plain = doubling({ wants: () => false }).outbound(role, () => {});
    const slow: OutboundTransform = {
      ...plain,
      begin: () => 4,
      push(input, start, end, _fin, out) {
        harness.now += ms;
        out.write(input, start, end);
        return { consumed: end - start, status: 'need' };
      },
    };
    const harness: Harness = open({ role, extensions: [extension('slow', 4, identity, slow)], timeouts: QUIET });
    const due = (): boolean => (harness.connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now;
    for (let count = 0; count < room; count++) {
      harness.connection.sendBinary(pattern(20_000, count));
      expect([count, due()]).toEqual([count, false]);
    }
    harness.connection.sendBinary(pattern(20_000, room));
    expect(due()).toBe(true);
    expect(sentMessages(harness.frames())).toHaveLength(room);
    expect(turns(harness)).toBe(1);
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual([digest(pattern(20_000, room))]);
  });

  it('ends so for what is received, too', () => {
    for (const [ms, first, later] of [
      [0, 12, 0],
      [1, 6, 6],
      [10, 5, 1],
    ] as const) {
      let pushes = 0;
      const plain = identity();
      const slow: InboundTransform = {
        ...plain,
        push(input, start, end, out) {
          if (start < end) pushes++;
          harness.now += ms;
          return plain.push(input, start, end, out);
        },
      };
      const harness: Harness = open({ role, extensions: [extension('slow', 4, () => slow)], timeouts: QUIET });
      const counts: number[] = [];
      const note = (): void => {
        counts.push(pushes);
        pushes = 0;
      };
      // Twelve steps of 16 KiB.
      harness.receive(harness.peer.frame({ opcode: 2, rsv: 4, payload: pattern(12 * 16_384) }));
      note();
      expect(harness.connection.wantsRead).toBe(ms === 0);
      turns(harness, note);
      expect(counts[0]).toBe(first);
      if (ms > 0) expect(counts[1]).toBe(later);
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(12);
      expect(harness.of('binary').map(({ data }) => digest(data))).toEqual([digest(pattern(12 * 16_384))]);
    }
  });
});

describe.each(roles)('what waits in a %s', (role) => {
  const waiting = (): { harness: Harness; release: () => void } => {
    const text = doubling({ waits: true, wants: (kind) => kind === 'text' });
    const harness = open({ role, extensions: [text], timeouts: QUIET });
    harness.connection.sendText('first');
    return {
      harness,
      release: () => {
        text.release();
        harness.connection.wake();
      },
    };
  };

  it('is counted to the byte, and no more when it has gone or was dropped', () => {
    const { harness, release } = waiting();
    const { connection } = harness;
    expect(connection.bufferedAmount).toBe(5);
    connection.sendBinary(pattern(1000));
    connection.sendBinary(pattern(100_000));
    expect(connection.bufferedAmount).toBe(101_005);
    release();
    expect(sentMessages(drained(harness)).map(({ payload }) => payload.length)).toEqual([11, 1000, 100_000]);
    expect(connection.bufferedAmount).toBe(0);

    const other = waiting().harness;
    other.connection.sendBinary(pattern(1000));
    other.connection.fail(1011);
    const closing = other.connection.bufferedAmount;
    expect(other.sent()).toEqual([expect.stringMatching(/^CLOSE 1011/)]);
    expect(closing).toBeLessThan(60);
  });

  it('is no longer due once it was dropped', () => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    harness.connection.sendBinary(pattern(500_000));
    expect(harness.connection.nextTimeout()).toBe(harness.now);
    harness.connection.fail(1011);
    expect(harness.connection.nextTimeout()).toBeNull();
    harness.connection.handleTimeout();
    expect(harness.sent()).toHaveLength(1);
  });

  it('is a copy of what is small, so that the caller may write to it', () => {
    const { harness, release } = waiting();
    const mine = pattern(60_000);
    harness.connection.sendBinary(mine);
    mine.fill(0);
    release();
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))[1]).toBe(digest(pattern(60_000)));
  });

  it.each([
    ['bytes', (connection: Connection, data: Uint8Array) => connection.sendBinary(data)],
    ['bytes of text', (connection: Connection, data: Uint8Array) => connection.sendText(data)],
    ['bytes given away', (connection: Connection, data: Uint8Array) => connection.sendBinary(data, { transfer: true })],
    [
      'fragments',
      (connection: Connection, data: Uint8Array) =>
        connection.sendBinary(data.subarray(0, 300), { fin: false }) && connection.sendContinuation(data.subarray(300), true),
    ],
    [
      'a writer',
      (connection: Connection, data: Uint8Array) => {
        const writer = connection.startMessage('binary', { transfer: true });
        return writer.write(data.subarray(0, 300)) && writer.end(data.subarray(300));
      },
    ],
  ] as const)('is a copy of what is small where nothing stood before it but the share of the turn was used up: %s', (_name, send) => {
    // Whichever is the first that finds no share left.
    for (const size of [1000, 16_383]) {
      const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
      const mine = new Uint8Array(size);
      const expected: string[] = [];
      for (let count = 0; harness.connection.nextTimeout() === null; count++) {
        mine.set(pattern(size, count));
        expected.push(digest(doubled(mine)));
        expect(send(harness.connection, mine)).toBe(true);
      }
      mine.fill(0xff);
      expect(expected.length).toBeGreaterThan(4);
      const sent = sentMessages(drained(harness));
      const messages = sent.map(({ payload }) => digest(payload));
      expect(messages).toEqual(expected);
    }
  });

  it('is masked where it stands only if it was given away', () => {
    for (const transfer of [false, true]) {
      const { harness, release } = waiting();
      const mine = pattern(100_000);
      harness.connection.sendBinary(mine, { transfer });
      release();
      expect(sentMessages(drained(harness)).map(({ payload }) => digest(payload))[1]).toBe(digest(pattern(100_000)));
      expect(digest(mine) === digest(pattern(100_000))).toBe(!(transfer && role === 'client'));
    }
  });

  it('keeps kind and wish, in fragments too', () => {
    const made = doubling({ waits: true });
    const harness = open({ role, extensions: [made], timeouts: QUIET });
    const { connection } = harness;
    connection.sendText('1');
    connection.sendBinary(pattern(10), { compress: true });
    connection.sendText('a', { fin: false, compress: false });
    connection.sendContinuation('bc', false);
    connection.sendContinuation('d', true);
    const sent = [];
    for (let count = 0; count < 5; count++) {
      made.release();
      connection.wake();
      sent.push(...harness.frames());
    }
    expect(made.begun).toEqual([
      { kind: 'text', size: 1, compress: undefined },
      { kind: 'binary', size: 10, compress: true },
      { kind: 'text', size: null, compress: false },
    ]);
    expect(sentMessages(sent).map(({ kind, payload }) => [kind, payload])).toEqual([
      ['text', doubled(utf8('1'))],
      ['binary', doubled(pattern(10))],
      ['text', doubled(utf8('abcd'))],
    ]);
  });

  it('keeps the order of as many as there are, and of those that come while others go', () => {
    const made = doubling({ waits: true });
    const harness = open({ role, extensions: [made], timeouts: QUIET });
    const { connection } = harness;
    const expected: string[] = [];
    const send = (from: number, to: number): void => {
      for (let at = from; at < to; at++) {
        connection.sendText(`${at}`);
        expected.push(digest(doubled(utf8(`${at}`))));
      }
    };
    send(0, 700);
    const got: string[] = [];
    const take = (rounds: number): void => {
      for (let round = 0; round < rounds; round++) {
        made.release();
        connection.wake();
        got.push(...sentMessages(harness.frames()).map(({ payload }) => digest(payload)));
      }
    };
    take(400);
    send(700, 1000);
    take(600);
    expect(got).toEqual(expected);
    expect(connection.bufferedAmount).toBe(0);
    send(1000, 1300);
    take(280);
    connection.fail(1011);
    take(20);
    expect(got.length).toBe(1280);
  });
});
