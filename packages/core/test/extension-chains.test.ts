/**
 * Several extensions on one connection, each taking part in some messages only, in small steps, with what it owes held back, and sometimes
 * pending: what comes out is what their plain functions give one after the other, in the order of the response when sending and in reverse
 * when receiving (RFC 6455 section 9.1).
 */
import type { Delivery, Extension, InboundTransform, OutboundTransform, TransformOutput } from '@ferrywire/core';
import type { ParsedFrame } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, digest, type Harness, messagesOf, open, pattern, pseudoRandom, split, toHex } from './connection-helpers.ts';
import { finishWork, identity, message, repeater, xor } from './extension-helpers.ts';
import { roles, thrownBy } from './sending-helpers.ts';

interface Part {
  readonly name: string;
  readonly rsv: number;
  readonly plain: (bytes: Uint8Array) => Uint8Array;
  readonly make: () => InboundTransform;
}
const times = (bytes: Uint8Array, count: number): Uint8Array => {
  const result = new Uint8Array(bytes.length * count);
  for (let at = 0; at < result.length; at++) result[at] = bytes[Math.floor(at / count)] as number;
  return result;
};
const tail = Uint8Array.of(0xde, 0xad);
const kinds: readonly Omit<Part, 'rsv'>[] = [
  { name: 'identity', plain: (bytes) => bytes, make: identity },
  { name: 'xor', plain: (bytes) => bytes.map((byte) => byte ^ 0x5a), make: () => xor(0x5a) },
  { name: 'twice', plain: (bytes) => times(bytes, 2), make: () => repeater(2) },
  { name: 'tail', plain: (bytes) => concat(times(bytes, 3), tail), make: () => repeater(3, tail) },
  { name: 'only a tail', plain: () => tail, make: () => repeater(0, tail) },
];

interface Pace {
  /** Bytes that one step takes, and gives, at most. */
  readonly step: number;
  readonly room: number;
  /** Each so many-th step is pending; 0: none. */
  readonly pending: number;
}
const paces: Readonly<Record<string, Pace>> = {
  'all at once': { step: 1e9, room: 1e9, pending: 0 },
  'in small steps': { step: 700, room: 1e9, pending: 0 },
  'with little room': { step: 1e9, room: 333, pending: 0 },
  'in small steps with little room, often pending': { step: 900, room: 500, pending: 3 },
};

/** `inner` at that pace. */
function paced(inner: InboundTransform, { step, room, pending }: Pace): InboundTransform {
  let steps = 0;
  const narrow = (out: TransformOutput): TransformOutput => {
    let left = Math.min(room, out.room);
    return {
      get room() {
        return left;
      },
      write(bytes, start, end) {
        left -= end - start;
        out.write(bytes, start, end);
      },
    };
  };
  const rests = (): boolean => pending > 0 && ++steps % pending === 0;
  return {
    begin: (kind, rsv) => inner.begin(kind, rsv),
    push(input, start, end, out) {
      if (rests()) return { consumed: 0, status: 'pending' };
      const result = inner.push(input, start, Math.min(end, start + step), narrow(out));
      if ('code' in result || result.status !== 'need') return result;
      return { consumed: result.consumed, status: start + result.consumed < end ? 'more' : 'need' };
    },
    finish: (out) => (rests() ? 'pending' : inner.finish(narrow(out))),
  };
}
/** The same work outbound: it takes part in messages of an odd size. */
function outboundOf(inner: InboundTransform, rsv: number): OutboundTransform {
  let ends = false;
  return {
    cacheKey: null,
    begin(kind, size) {
      ends = false;
      return size !== null && ((size >> (rsv >> 1)) & 1) === 1 && inner.begin(kind, rsv) ? rsv : 0;
    },
    push(input, start, end, fin, out) {
      if (ends) return { consumed: 0, status: inner.finish(out) as 'need' };
      const result = inner.push(input, start, end, out);
      if ('code' in result) throw new Error('an outbound transform refuses nothing');
      if (!fin || result.status !== 'need' || result.consumed < end - start) return result;
      ends = true;
      return { consumed: result.consumed, status: inner.finish(out) as 'need' };
    },
  };
}
const extensionOf = ({ name, rsv, make }: Part, pace: Pace): Extension => ({
  name,
  rsv,
  inbound: () => paced(make(), pace),
  outbound: () => outboundOf(paced(make(), pace), rsv),
});

/** Chains of one, two and three parts, each with a bit of its own. */
const chains: readonly (readonly Part[])[] = [
  ...kinds.map((kind) => [{ ...kind, rsv: 4 }]),
  ...kinds
    .flatMap((first) =>
      kinds.map((second) => [
        { ...first, rsv: 4 },
        { ...second, rsv: 1 },
      ]),
    )
    .filter((_, index) => index % 3 === 0),
  [
    { ...(kinds[3] as Part), rsv: 4 },
    { ...(kinds[1] as Part), rsv: 2 },
    { ...(kinds[2] as Part), rsv: 1 },
  ],
  [
    { ...(kinds[2] as Part), rsv: 1 },
    { ...(kinds[4] as Part), rsv: 2 },
    { ...(kinds[3] as Part), rsv: 4 },
  ],
];
const nameOf = (chain: readonly Part[]): string => chain.map(({ name, rsv }) => `${name} (${rsv})`).join(', ');
const SIZES = [0, 1, 5, 4095, 4096, 4097, 1, 0, 300, 7001];

/** Turns until nothing is to be done: what is pending is ready at once. */
function settle(harness: Harness, isDone: () => boolean): void {
  for (let turn = 0; turn < 5000 && !isDone(); turn++) {
    harness.connection.wake();
    finishWork(harness, false);
  }
}

describe.each(Object.entries(paces))('transforms that work %s', (_pace, pace) => {
  it.each(chains.map((chain) => [nameOf(chain), chain] as const))('receive: %s', (_name, chain) => {
    const random = pseudoRandom(chain.length + pace.step);
    const byte = new Uint8Array(1);
    const below = (most: number): number => {
      random(byte);
      return (byte[0] as number) % most;
    };
    for (const delivery of ['message', 'span'] as readonly Delivery[]) {
      const harness = open({ role: 'server', delivery, extensions: chain.map((part) => extensionOf(part, pace)) });
      const expected: string[] = [];
      for (const [index, size] of SIZES.entries()) {
        const all = chain.reduce((bits, part) => bits | part.rsv, 0);
        const rsv = index % 3 === 0 ? all : all & below(8);
        const sent = pattern(size, index);
        const cut = below(3) * (size >> 2);
        const wire = message(harness.peer, 2, rsv, sent.subarray(0, cut), sent.subarray(cut));
        harness.receive(...split(wire, [100_000, 1000, 5000][index % 3] as number));
        const plain = [...chain].reverse().reduce((bytes, part) => ((rsv & part.rsv) === 0 ? bytes : part.plain(bytes)), sent);
        expected.push(digest(plain));
        settle(harness, () => messagesOf(harness.seen).length === expected.length);
      }
      expect(messagesOf(harness.seen).map((text) => digest(Buffer.from(text, 'hex')))).toEqual(expected);
      expect(harness.connection.state).toBe('open');
    }
  });

  it.each(chains.map((chain) => [nameOf(chain), chain] as const))('send: %s', (_name, chain) => {
    for (const role of roles) {
      const harness = open({ role, extensions: chain.map((part) => extensionOf(part, pace)) });
      const { connection } = harness;
      const frames: ParsedFrame[] = [];
      const active = (size: number): Part[] => chain.filter(({ rsv }) => ((size >> (rsv >> 1)) & 1) === 1);
      const check = (sizes: readonly number[]): void => {
        settle(harness, () => {
          frames.push(...harness.frames());
          return frames.length === sizes.length;
        });
        const expected = sizes.map((size) => [
          active(size).reduce((bits, { rsv }) => bits | rsv, 0),
          digest(active(size).reduce((bytes, part) => part.plain(bytes), pattern(size, size))),
        ]);
        expect(frames.splice(0).map(({ header, payload }) => [header.rsv, digest(payload)])).toEqual(expected);
        expect(connection.bufferedAmount).toBe(0);
      };
      // One by one, then all of them, one behind the other.
      for (const size of SIZES) {
        connection.sendBinary(pattern(size, size));
        check([size]);
      }
      for (const size of SIZES) connection.sendBinary(pattern(size, size));
      check(SIZES);
    }
  });
});

describe.each(Object.entries(paces))('of a message that has not ended, transforms that work %s', (_pace, pace) => {
  const unended = chains.filter((chain) => chain.length > 1 && chain.every(({ name }) => !name.includes('tail')));
  it.each(unended.map((chain) => [nameOf(chain), chain] as const))('give all that they can: %s', (_name, chain) => {
    for (const mode of ['push', 'pull'] as const) {
      const harness = open({ role: 'server', mode, delivery: 'span', extensions: chain.map((part) => extensionOf(part, pace)) });
      const rsv = chain.reduce((bits, part) => bits | part.rsv, 0);
      const plain = (bytes: Uint8Array): Uint8Array => [...chain].reverse().reduce((made, part) => part.plain(made), bytes);
      const all: Uint8Array[] = [];
      for (const [index, size] of [10, 5000, 1, 9000].entries()) {
        const payload = pattern(size, index);
        all.push(payload);
        harness.receive(harness.peer.frame({ opcode: index === 0 ? 2 : 0, rsv: index === 0 ? rsv : 0, fin: false, payload }));
        for (let turn = 0; turn < 200; turn++) {
          harness.connection.wake();
          finishWork(harness, mode === 'pull');
          if (mode === 'pull') harness.pull();
        }
        expect(digest(concat(...harness.of('span').map(({ data }) => data)))).toBe(digest(plain(concat(...all))));
        expect(harness.connection.wantsRead).toBe(true);
      }
    }
  });
});

describe('what a transform may write', () => {
  const greedy = (writes: readonly number[]): InboundTransform => ({
    begin: (_kind, rsv) => rsv !== 0,
    push(_input, start, end, out) {
      for (const size of writes) out.write(new Uint8Array(size), 0, size);
      return { consumed: end - start, status: 'need' };
    },
    finish: () => 'need',
  });
  const of = (name: string, rsv: number, inner: InboundTransform): Extension => ({
    name,
    rsv,
    inbound: () => inner,
    outbound: () => outboundOf(inner, rsv),
  });
  it.each([
    ['before another one', [of('greedy', 1, greedy([4000, 97])), of('next', 4, identity())], 4096 + 5],
    ['alone', [of('greedy', 1, greedy([65_000, 600]))], 5],
  ])('%s: no more than there is room', (_name, extensions, size) => {
    const { connection } = open({ role: 'server', extensions });
    expect(thrownBy(() => connection.sendBinary(pattern(size)))).toMatchObject({
      name: 'RangeError',
      message: 'out.write: a transform wrote more than out.room',
    });
  });
  it('parts of its memory: from the first byte that it names to the last', () => {
    const parts: readonly (readonly [start: number, end: number])[] = [
      [0, 10],
      [0, 4],
      [4, 10],
      [3, 7],
      [5, 5],
    ];
    for (const [start, end] of parts) {
      const inner: InboundTransform = {
        begin: (_kind, rsv) => rsv !== 0,
        push(_input, from, to, out) {
          out.write(pattern(10), start, end);
          return { consumed: to - from, status: 'need' };
        },
        finish: () => 'need',
      };
      const { connection, frames } = open({ role: 'server', extensions: [of('part', 1, inner)] });
      connection.sendBinary(pattern(5));
      expect(frames().map(({ payload }) => toHex(payload))).toEqual([toHex(pattern(10).subarray(start, end))]);
    }
  });
});
