/** Sending, where few calls lead: sources that throw, transforms that answer late, twice or too much, and prepared messages of every size. */
import { Connection, type OutboundTransform, prepareMessage } from '@ferrywire/core';
import { truncateReason } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, digest, open, pattern, pseudoRandom } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { doubled, doubling, drained, roles, sentMessages } from './sending-helpers.ts';

const sending = (outbound: OutboundTransform) => extension('x-test', 4, identity, outbound);

describe('a source of masks that throws', () => {
  it('reaches the caller, and what is sent afterwards is whole', () => {
    let broken = true;
    const plain = pseudoRandom();
    const random = (target: Uint8Array): void => {
      if (broken) throw new Error('no entropy');
      plain(target);
    };
    const harness = open({ role: 'client', random });
    expect(() => harness.connection.sendText('ä'.repeat(30))).toThrow('no entropy');
    expect(harness.output().length).toBe(0);
    broken = false;
    expect(harness.connection.sendText('after')).toBe(true);
    expect(harness.sent()).toEqual(["TEXT 'after'"]);
    expect(harness.connection.bufferedAmount).toBe(0);
  });
});

describe('transforms', () => {
  it.each(roles)('%s: one that is not wanted for a message leaves its bytes as they are', (role) => {
    const harness = open({ role, extensions: [doubling({ wants: (kind) => kind === 'text' })] });
    const mine = pattern(300);
    for (const transfer of [false, true]) expect(harness.connection.sendBinary(mine.slice(), { transfer })).toBe(true);
    expect(harness.connection.sendBinary(mine)).toBe(true);
    expect(digest(mine)).toBe(digest(pattern(300)));
    const sent = sentMessages(harness.frames());
    expect(sent.map(({ rsv, payload }) => [rsv, digest(payload)])).toEqual([0, 1, 2].map(() => [0, digest(mine)]));
  });

  it.each(roles)('%s: text that it leaves alone keeps its bytes until they are taken, of any size', (role) => {
    for (const size of [100, 16_383, 16_384, 20_000, 21_845, 30_000]) {
      const harness = open({ role, extensions: [doubling({ wants: () => false })] });
      const texts = ['x', 'y', 'z'].map((unit) => unit.repeat(size));
      for (const text of texts) harness.connection.sendText(text);
      expect(sentMessages(harness.frames()).map(({ payload }) => Buffer.from(payload).toString() === texts.shift())).toEqual([
        true,
        true,
        true,
      ]);
    }
  });

  it.each(roles)('%s: the first fragment says that the size is not known, however large it is', (role) => {
    for (const size of [10, 100_000]) {
      const made = doubling();
      const harness = open({ role, extensions: [made] });
      harness.connection.sendBinary(pattern(size), { fin: false, compress: true });
      harness.connection.sendContinuation(pattern(size, 1), true);
      expect(made.begun).toEqual([{ kind: 'binary', size: null, compress: true }]);
      const [only] = sentMessages(drained(harness));
      expect(digest(only?.payload ?? new Uint8Array())).toBe(digest(doubled(concat(pattern(size), pattern(size, 1)))));
    }
  });

  it.each(roles)('%s: one that is ready before it has said so is asked again at once', (role) => {
    let ready = (): void => {};
    let asked = 0;
    const eager: OutboundTransform = {
      cacheKey: null,
      begin: () => 4,
      push(input, start, end, fin, out) {
        asked++;
        if (asked % 3 !== 0) {
          // Synchronously, from inside the call.
          ready();
          return { consumed: 0, status: 'pending' };
        }
        const count = Math.min(5, end - start);
        out.write(input, start, start + count);
        return { consumed: count, status: start + count < end || !fin ? 'more' : 'need' };
      },
    };
    const made = sending(eager);
    const harness = open({
      role,
      extensions: [
        {
          ...made,
          outbound: (_role, wake) => {
            ready = wake;
            return eager;
          },
        },
      ],
    });
    harness.connection.sendBinary(pattern(23));
    const [only, ...more] = sentMessages(drained(harness));
    expect([digest(only?.payload ?? new Uint8Array()), more]).toEqual([digest(pattern(23)), []]);
    expect(harness.connection.bufferedAmount).toBe(0);
  });

  it.each(roles)('%s: one that writes too much in a later step throws as in the first', (role) => {
    let steps = 0;
    const greedy: OutboundTransform = {
      cacheKey: null,
      begin: () => 4,
      push(_input, _start, _end, _fin, out) {
        steps++;
        const size = steps === 1 ? 1 : out.room + 1;
        out.write(new Uint8Array(size), 0, size);
        return { consumed: 1, status: 'more' };
      },
    };
    const harness = open({ role, extensions: [sending(greedy)] });
    expect(() => harness.connection.sendBinary(pattern(10))).toThrow(/out\.room/);
    expect(steps).toBe(2);
  });
});

describe('prepared messages', () => {
  it('are traced with their header, and sent alike the first time and from the cache, whatever their size', () => {
    for (const size of [10, 100, 1000, 40_000, 100_000]) {
      const message = prepareMessage(pattern(size));
      const seen: (number | undefined)[] = [];
      const sent: string[] = [];
      for (let count = 0; count < 3; count++) {
        const harness = open({ role: 'server', tracing: true, extensions: [doubling({ cacheKey: 'k' })] });
        expect(harness.connection.sendPrepared(message)).toBe(true);
        for (const { rsv, payload } of sentMessages(drained(harness))) sent.push(`${rsv} ${digest(payload)}`);
        for (const { frame } of harness.trace) {
          expect(frame).toMatchObject({ fin: true, rsv: 4, opcode: 2, masked: false, maskKey: 0 });
          seen.push(frame?.length);
        }
        // Nothing of it stays behind.
        expect(harness.connection.bufferedAmount).toBe(0);
        harness.connection.sendText('next');
        expect(sentMessages(drained(harness))).toHaveLength(1);
      }
      const payload = doubled(pattern(size));
      expect(sent).toEqual([1, 2, 3].map(() => `4 ${digest(payload)}`));
      expect(seen).toEqual([1, 2, 3].map(() => payload.length));
    }
  });
});

describe.each(roles)('the trace of what a %s sends', (role) => {
  it.each([
    [0, 0],
    [125, 0],
    [126, 2],
    [65_535, 2],
    [65_536, 8],
    [70_000, 8],
  ])('%i bytes: %i more for the length', (size, lengthBytes) => {
    const harness = open({ role, tracing: true });
    harness.connection.sendBinary(pattern(size));
    harness.connection.sendText('x'.repeat(size));
    const frames = harness.trace.flatMap(({ frame }) => frame ?? []);
    expect(frames).toMatchObject(
      [2, 1].map((opcode) => ({ opcode, length: size, lengthBytes, fin: true, rsv: 0, masked: role === 'client' })),
    );
    expect(digest(frames[0]?.preview ?? new Uint8Array())).toBe(digest(pattern(Math.min(size, 125))));
    expect(harness.frames().map(({ header }) => [header.payloadLength, header.maskKey])).toEqual(
      frames.map(({ maskKey }) => [size, maskKey]),
    );
    expect(harness.connection.stats.framesOut).toBe(2);
  });
});

describe('reasons', () => {
  it.each([
    ['a', 200, 123],
    ['ä', 100, 61],
    ['€', 100, 41],
    ['😀', 100, 30],
    ['\ud83d', 100, 41],
  ])('of %j are cut at whole characters', (unit, count, kept) => {
    expect(truncateReason(unit.repeat(count))).toBe(unit.repeat(kept));
    const harness = open({ role: 'server' });
    harness.connection.fail(4000, unit.repeat(count));
    expect(harness.frames()[0]?.payload.length).toBe(2 + Buffer.byteLength(unit.repeat(kept)));
  });
});

describe('memory', () => {
  it('a slab that two connections share is written again only when both have had their bytes back', () => {
    const make = (): Connection => new Connection({ role: 'server', clock: () => 0 });
    const [first, second] = [make(), make()];
    first.sendBinary(pattern(10_000, 1));
    const early = first.takeOutput();
    second.sendBinary(pattern(10_000, 2));
    for (const chunk of early) first.recycleOutput(chunk);
    const late = second.takeOutput();
    const third = make();
    third.sendBinary(pattern(15_000, 3));
    expect(digest(concat(...late).subarray(4))).toBe(digest(pattern(10_000, 2)));
    expect(digest(concat(...third.takeOutput()).subarray(4))).toBe(digest(pattern(15_000, 3)));
  });
});
