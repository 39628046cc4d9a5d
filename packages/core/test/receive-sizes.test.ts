/**
 * Receiving messages of the sizes where the way changes, of every kind of letter, in one frame or several, however they are cut, decoded by an
 * extension or not, in each delivery and mode: the content, the counts and the trace agree with what was sent.
 */
import type { ConnectionOptions, Delivery, InboundTransform, MessageKind, Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, digest, type OpenOptions, open, type Peer, pattern, type Seen, split, toHex, utf8 } from './connection-helpers.ts';
import { extension, finishWork, identity, repeater, xor } from './extension-helpers.ts';
import { roles } from './sending-helpers.ts';

const SIZES = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 23, 24, 25, 26, 31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 79, 80, 81, 124, 125, 126, 127, 128, 129, 255, 256,
  383, 384, 385, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 16_383, 16_384, 16_385,
];
const LARGE = [32_768, 40_000, 65_535, 65_536, 65_537];
const LETTERS = ['abcdefghijklmnopqrstuvw', 'aé', '€', 'a😀', `${'x'.repeat(61)}é`];

/** A payload of exactly `size` bytes: text of whole letters, or bytes. */
function payloadOf(kind: MessageKind, size: number, seed: number): Uint8Array {
  if (kind === 'binary') return pattern(size, seed);
  const letters = LETTERS[seed % LETTERS.length] as string;
  const whole = utf8(letters.repeat(Math.ceil(size / letters.length)));
  let end = Math.min(size, whole.length);
  // Not in the middle of a letter: ASCII fills up.
  while (end > 0 && ((whole[end] ?? 0) & 0xc0) === 0x80) end--;
  return concat(whole.subarray(0, end), utf8('z'.repeat(size - end)));
}

/** One message as whoever listens gets it. */
interface Told {
  readonly kind: MessageKind;
  readonly content: string;
}
function told(seen: readonly Seen[]): Told[] {
  const messages: Told[] = [];
  let parts: Uint8Array[] = [];
  for (const event of seen) {
    if (event.type === 'text') messages.push({ kind: 'text', content: digest(utf8(event.data)) });
    else if (event.type === 'binary') messages.push({ kind: 'binary', content: digest(event.data) });
    else if (event.type === 'textChunk') parts.push(utf8(event.data));
    else if (event.type === 'span') parts.push(event.data);
    else if (event.type === 'finish') {
      messages.push({ kind: event.kind, content: digest(concat(...parts)) });
      parts = [];
    }
  }
  return messages;
}

const cuts: Readonly<Record<string, (peer: Peer, kind: MessageKind, payload: Uint8Array, rsv: number) => Uint8Array[]>> = {
  'one frame': (peer, kind, payload, rsv) => [peer.frame({ opcode: kind === 'text' ? 1 : 2, payload, rsv })],
  'one frame in two chunks': (peer, kind, payload, rsv) => {
    const frame = peer.frame({ opcode: kind === 'text' ? 1 : 2, payload, rsv });
    const cut = Math.max(1, Math.floor((frame.length * 3) / 5));
    return [frame.slice(0, cut), frame.slice(cut)];
  },
  'one frame in chunks of 1000 bytes': (peer, kind, payload, rsv) =>
    split(peer.frame({ opcode: kind === 'text' ? 1 : 2, payload, rsv }), 1000),
  'three frames with a ping between them': (peer, kind, payload, rsv) => {
    const third = Math.floor(payload.length / 3);
    return [
      concat(
        peer.frame({ opcode: kind === 'text' ? 1 : 2, payload: payload.slice(0, third), rsv, fin: false }),
        peer.ping('p'),
        peer.continuation(payload.slice(third, third + 1), false),
        peer.continuation(payload.slice(third + 1), true),
      ),
    ];
  },
  'frames and chunks that do not match': (peer, kind, payload, rsv) => {
    const half = payload.length >> 1;
    const wire = concat(
      peer.frame({ opcode: kind === 'text' ? 1 : 2, payload: payload.slice(0, half), rsv, fin: false }),
      peer.continuation(payload.slice(half), true),
    );
    return split(wire, 777);
  },
};

interface Setting {
  readonly options: Partial<OpenOptions>;
  readonly rsv: number;
  readonly plain: (payload: Uint8Array) => Uint8Array;
}
const bits = (make: () => InboundTransform): Partial<OpenOptions> => ({ extensions: [extension('x', 4, make)] });
const settings: Readonly<Record<string, Setting>> = {
  shared: { options: { input: 'shared' }, rsv: 0, plain: (payload) => payload },
  transferred: { options: { input: 'transferred' }, rsv: 0, plain: (payload) => payload },
  reused: { options: { input: 'reused' }, rsv: 0, plain: (payload) => payload },
  decoded: { options: bits(identity), rsv: 4, plain: (payload) => payload },
  'decoded from something else': { options: { ...bits(() => xor(0)), input: 'transferred' }, rsv: 4, plain: (payload) => payload },
  'decoded to twice as much': {
    options: bits(() => repeater(2)),
    rsv: 4,
    plain: (payload) => Uint8Array.from({ length: 2 * payload.length }, (_, at) => payload[at >> 1] as number),
  },
  'left alone by an extension': { options: bits(identity), rsv: 0, plain: (payload) => payload },
};

const modes: readonly (readonly [Delivery, 'push' | 'pull'])[] = [
  ['message', 'push'],
  ['message', 'pull'],
  ['chunk', 'push'],
  ['chunk', 'pull'],
  ['span', 'push'],
  ['span', 'pull'],
];

describe.each(roles)('a %s receives messages of each size', (role: Role) => {
  describe.each(Object.entries(settings))('%s', (settingName, { options, rsv, plain }) => {
    it.each(modes)('as %s, %s', (delivery, mode) => {
      for (const [index, cut] of Object.values(cuts).entries()) {
        const tracing = index === 1 && delivery === 'message';
        const harness = open({ role, delivery, mode, ...options, tracing });
        const { connection, peer } = harness;
        const expected: Told[] = [];
        const counts = { messagesIn: 0, payloadIn: 0, bytesIn: 0, messagesDiscarded: 0 };
        for (const [at, size] of (index < 2 && options.extensions === undefined ? [...SIZES, ...LARGE] : SIZES).entries()) {
          // Twice as much of a text is none where its letters have several bytes.
          const kind = (at + index) % 2 === 0 || settingName.includes('twice') ? 'binary' : 'text';
          const payload = payloadOf(kind, size, at);
          const chunks = cut(peer, kind, payload, rsv);
          for (const chunk of chunks) counts.bytesIn += chunk.length;
          harness.receive(...chunks.map((chunk) => Uint8Array.from(chunk)));
          finishWork(harness, mode === 'pull');
          const content = plain(payload);
          expected.push({ kind, content: digest(content) });
          counts.messagesIn++;
          counts.payloadIn += content.length;
          expect(connection.stats).toMatchObject(counts);
          expect(connection.wantsRead).toBe(true);
          if (!tracing) continue;
          const { frame } = harness.trace.filter(({ direction }) => direction === 'in').at(-1) ?? {};
          expect(frame).toMatchObject({ length: payload.length, fin: true, rsv, masked: role === 'server' });
          expect(toHex(frame?.preview ?? new Uint8Array(0))).toBe(toHex(payload.subarray(0, 125)));
        }
        expect(told(harness.seen)).toEqual(expected);
      }
    });
  });
});

describe.each(roles)('many short messages in one chunk, %s', (role) => {
  it.each(modes)('as %s, %s', (delivery, mode) => {
    const inputs: readonly ConnectionOptions['input'][] = ['shared', 'transferred'];
    for (const input of inputs) {
      const harness = open({ role, delivery, mode, input: input as 'shared' });
      const frames: Uint8Array[] = [];
      const expected: Told[] = [];
      for (let count = 0; count < 300; count++) {
        const kind = count % 3 === 0 ? 'binary' : 'text';
        const payload = payloadOf(kind, (count * 7) % 140, count % 5);
        frames.push(harness.peer.frame({ opcode: kind === 'text' ? 1 : 2, payload }));
        expected.push({ kind, content: digest(payload) });
      }
      harness.receive(concat(...frames));
      expect(told(harness.seen)).toEqual(expected);
      expect(harness.connection.stats).toMatchObject({ framesIn: 300, messagesIn: 300 });
    }
  });
});
