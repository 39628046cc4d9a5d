/**
 * Messages that an extension decodes, up to their limits and faults: what comes before the fault is delivered as it would be without the
 * extension, then the connection fails with the same code; and a message may decode to as much as `maxMessageSize` and not to a byte more.
 */
import type { Delivery, InboundTransform, MessageKind } from '@ferrywire/core';
import { violations } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, digest, type Harness, open, pattern, type Seen, summary, utf8 } from './connection-helpers.ts';
import { bomb, extension, finishWork, identity, message, refusing, repeater } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

const modes: readonly (readonly [Delivery, 'push' | 'pull'])[] = [
  ['message', 'push'],
  ['message', 'pull'],
  ['chunk', 'push'],
  ['chunk', 'pull'],
  ['span', 'push'],
  ['span', 'pull'],
];
function start(delivery: Delivery, mode: 'push' | 'pull', make: (() => InboundTransform) | null, more: object = {}): Harness {
  return open({ role: 'server', delivery, mode, ...(make !== null && { extensions: [extension('x', 4, make)] }), ...more });
}
/** The state after each part. */
function run(harness: Harness, kind: MessageKind, rsv: number, parts: readonly Uint8Array[]): string[] {
  const states: string[] = [];
  for (const [index, payload] of parts.entries()) {
    const opcode = index > 0 ? 0 : kind === 'text' ? 1 : 2;
    harness.receive(harness.peer.frame({ opcode, rsv: index > 0 ? 0 : rsv, fin: index === parts.length - 1, payload }));
    finishWork(harness, harness.connection.state !== 'closed');
    states.push(harness.connection.state);
  }
  finishWork(harness, true);
  return states;
}
const bytesOf = (seen: readonly Seen[]): Uint8Array =>
  concat(
    ...seen.map((event) => {
      if (event.type === 'binary' || event.type === 'span') return event.data;
      return event.type === 'text' || event.type === 'textChunk' ? utf8(event.data) : new Uint8Array(0);
    }),
  );
const fates = (seen: readonly Seen[]): string[] =>
  seen.filter(({ type }) => type === 'finish' || type === 'text' || type === 'binary').map(({ type }) => type);

describe.each(modes)('delivery %s, %s', (delivery, mode) => {
  it.each(['x', 'é', '€', '😀'])(
    'what is not UTF-8 behind %s fails as it does without an extension, and what stands before it arrives',
    (letter) => {
      const bad = ['ff', '80', 'c3', 'eda0', 'f0', 'f09f98', 'e282'].map((digits) => Uint8Array.from(Buffer.from(digits, 'hex')));
      for (const size of [0, 1, 5, 30, 100, 16_380, 16_384, 40_000]) {
        const before = utf8(letter.repeat(Math.floor(size / utf8(letter).length)));
        const fault = bad[size % bad.length] as Uint8Array;
        const texts = size > 1000 ? [concat(before, fault)] : bad.flatMap((part) => [concat(before, part), concat(before, part, before)]);
        for (const text of [before, ...texts, concat(before, fault, before)]) {
          for (const parts of [[text], [text.subarray(0, (text.length * 3) >> 2), text.subarray((text.length * 3) >> 2)]]) {
            const plain = start(delivery, mode, null);
            const decoded = start(delivery, mode, identity);
            expect(run(decoded, 'text', 4, parts)).toEqual(run(plain, 'text', 0, parts));
            expect(summary(decoded.seen)).toEqual(summary(plain.seen));
            expect(decoded.connection.closeSent).toEqual(plain.connection.closeSent);
            expect(decoded.connection.state).toBe(plain.connection.state);
          }
        }
      }
    },
  );

  it.each(['text', 'binary'] as const)('a %s message decodes to maxMessageSize and no further', (kind) => {
    for (const limit of [1, 7, 100, 5000, 16_384, 20_001]) {
      for (const over of [-1, 0, 1, 2, 500]) {
        const size = limit + over;
        if (size < 0) continue;
        const content = kind === 'text' ? utf8('y'.repeat(size)) : pattern(size);
        for (const parts of [[content], [content.subarray(0, size >> 1), content.subarray(size >> 1), new Uint8Array(0)]]) {
          const harness = start(delivery, mode, identity, { limits: { maxMessageSize: limit, maxFrameSize: 1e6 } });
          run(harness, kind, 4, parts);
          const { connection, seen } = harness;
          const label = `${size} of ${limit}`;
          if (over <= 0) {
            expect(digest(bytesOf(seen)), label).toBe(digest(content));
            expect(fates(seen).length, label).toBe(1);
            expect(connection.state, label).toBe('open');
            expect(connection.stats).toMatchObject({ messagesIn: 1, payloadIn: size });
            continue;
          }
          expect(connection.closeSent?.code, label).toBe(1009);
          expect(fates(seen), label).toEqual([]);
          // Pieces: as much as the limit allows, whole messages: nothing.
          expect(digest(bytesOf(seen)), label).toBe(digest(content.subarray(0, delivery === 'message' ? 0 : limit)));
          expect(connection.stats.messagesIn).toBe(0);
        }
      }
    }
  });

  it('letters of several bytes count as such, and none is cut', () => {
    for (const letter of ['é', '€', '😀']) {
      const content = utf8(letter.repeat(1000));
      for (const cut of [1000, 1001, 1002, 1003]) {
        for (const under of [0, 1, 2, 3, 500]) {
          const limit = content.length - under;
          const harness = start(delivery, mode, identity, { limits: { maxMessageSize: limit, maxFrameSize: 1e6 } });
          run(harness, 'text', 4, [content.subarray(0, cut), content.subarray(cut)]);
          const label = `${letter} ${cut} ${under}`;
          expect(harness.connection.closeSent?.code, label).toBe(under === 0 ? undefined : 1009);
          const text = Buffer.from(bytesOf(harness.seen)).toString();
          if (under === 0) expect(text === letter.repeat(1000), label).toBe(true);
          else if (delivery === 'chunk') expect(text === letter.repeat(Math.floor(limit / utf8(letter).length)), label).toBe(true);
          else expect(bytesOf(harness.seen).length).toBeLessThanOrEqual(limit);
        }
      }
    }
  });

  it('a bomb is stopped at the limit', () => {
    const harness = start(delivery, mode, () => bomb(1e9), { limits: { maxMessageSize: 50_000 } });
    run(harness, 'binary', 4, [new Uint8Array(3)]);
    expect(harness.connection.closeSent?.code).toBe(1009);
    expect(bytesOf(harness.seen).length).toBe(delivery === 'message' ? 0 : 50_000);
  });

  it('what the extension refuses fails after what it gave before', () => {
    for (const kind of ['text', 'binary'] as const) {
      for (const size of [0, 1, 50, 16_384, 30_000]) {
        const content = utf8('z'.repeat(size));
        for (const atEnd of [false, true]) {
          const harness = start(delivery, mode, () => refusing(violations.WS_EXTENSION_DATA, atEnd));
          run(harness, kind, 4, [concat(content, Uint8Array.of(atEnd ? 0x21 : 0xff), content)]);
          const { connection, seen } = harness;
          expect(connection.closeSent).toMatchObject({ code: 1007, reason: violations.WS_EXTENSION_DATA.message });
          expect(fates(seen)).toEqual([]);
          const given = atEnd ? concat(content, Uint8Array.of(0x21), content) : content;
          const expected = delivery === 'message' ? new Uint8Array(0) : given;
          // What is refused in the step that gave it does not arrive.
          expect(digest(bytesOf(seen).subarray(0, expected.length))).toBe(digest(expected.subarray(0, bytesOf(seen).length)));
          if (!atEnd) expect(digest(bytesOf(seen))).toBe(digest(expected));
          connection.receiveEof();
          if (mode === 'pull') harness.pull();
          expect(harness.end).toMatchObject({ clean: false, cause: violations.WS_EXTENSION_DATA });
        }
      }
    }
  });
});

describe.each(roles)('read into memory of the application, %s', (role) => {
  it.each([1, 2, 3, 4, 5, 7, 64])('%i bytes at a time, whatever the letters', (room) => {
    for (const make of [identity, () => repeater(1), null]) {
      for (const text of ['', 'abc', 'é€😀'.repeat(9), `${'x'.repeat(63)}😀`]) {
        const target = new Uint8Array(room);
        const extensions = make === null ? {} : { extensions: [extension('x', 4, make)] };
        const harness = open({ role, mode: 'pull', delivery: 'span', target, ...extensions });
        const { peer, receive, seen } = harness;
        const rsv = make === null ? 0 : 4;
        receive(message(peer, 1, rsv, utf8(text)), message(peer, 2, rsv, utf8(text), utf8(text)));
        expect(
          seen
            .filter(({ type }) => type === 'start' || type === 'finish')
            .map((event) => `${event.type} ${'kind' in event ? event.kind : ''}`),
        ).toEqual(['start text', 'finish text', 'start binary', 'finish binary']);
        expect(Buffer.from(bytesOf(seen)).toString()).toBe(text.repeat(3));
        expect(seen.every((event) => event.type !== 'span' || event.data.length <= room)).toBe(true);
        // The memory was lent and nothing else: others do not work in it afterwards.
        const before = Uint8Array.from(target);
        const other = open({ role: 'server' });
        other.receive(other.peer.text('o'.repeat(5000)));
        expect(other.of('text')[0]?.data).toBe('o'.repeat(5000));
        expect(target).toEqual(before);
      }
    }
  });
});
