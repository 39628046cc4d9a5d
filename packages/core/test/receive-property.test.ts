/**
 * The master property: whatever the frames, any split of them, in either mode, with any ownership, pausing anywhere, gives the same events
 * and the same output; and they are those of a plain model of RFC 6455.
 */
import { isUtf8 } from 'node:buffer';
import type { ConnectionOptions, ConnectionSink, Delivery, EndInfo, Role } from '@ferrywire/core';
import { FrameParser } from '@ferrywire/core/frame';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  concat,
  describeFrame,
  digest,
  type Harness,
  messagesOf,
  type OpenOptions,
  open,
  pattern,
  summary,
  toHex,
  utf8,
} from './connection-helpers.ts';
import { Asynchronous, extension, identity, repeater, xor } from './extension-helpers.ts';
import { plainScanner } from './plain-scanner.ts';
import { type ModelLimits, model } from './receive-model.ts';
import { deliveries, scripts, type Usage, usages, wireOf } from './receive-scripts.ts';

interface Result {
  /** As `summary` makes them. */
  readonly events: readonly object[];
  readonly end: EndInfo;
  readonly output: Uint8Array;
  readonly messages: readonly string[];
}

const ONE_PIECE: Usage = { mode: 'push', input: 'shared', cuts: [10_000_000], stops: [false], throws: false, target: 1000 };
const STEPS = 1_000_000;
const RUNS = 1000;

const STOP = new Error('stop');

/** False: a callback threw. */
function survives(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error !== STOP) throw error;
    return false;
  }
}

/** Lets everything that needs no more input happen: held input, due work, pauses, what an asynchronous extension has in flight. */
function settle(endpoint: Harness, usage: Usage, work: Asynchronous | undefined): void {
  const { connection } = endpoint;
  let whole = false;
  for (let step = 0; step < STEPS; step++) {
    const due = connection.nextTimeout();
    if (connection.paused || !whole) whole = survives(() => connection.resume());
    else if (due !== null && due <= endpoint.now) whole = survives(() => connection.handleTimeout());
    else if (work !== undefined && work.inFlight > 0) whole = survives(() => work.release());
    else break;
    if (usage.mode === 'pull') endpoint.pull();
  }
  if (usage.mode === 'pull') endpoint.pull();
}

/** Plays `wire`, then EOF. */
function play(options: Omit<OpenOptions, 'mode' | 'input'>, usage: Usage, wire: Uint8Array, work?: Asynchronous): Result {
  let calls = 0;
  const stop = (): void => {
    if (usage.stops[calls++ % usage.stops.length] !== true) return;
    if (usage.throws) throw STOP;
    endpoint.connection.pause();
  };
  const names = ['onText', 'onBinary', 'onMessageStart', 'onTextChunk', 'onSpan', 'onMessageEnd', 'onPing', 'onPong', 'onClose'];
  const hooks = Object.fromEntries(names.map((name) => [name, stop])) as ConnectionSink;
  const endpoint: Harness = open({
    ...options,
    mode: usage.mode,
    input: usage.input,
    pulling: false,
    target: new Uint8Array(usage.target),
    ...(usage.mode === 'push' && { hooks }),
  });
  const { connection } = endpoint;
  const memory = new Uint8Array(usage.input === 'reused' ? 80_000 : 0);
  for (let at = 0, turn = 0; at < wire.length; turn++) {
    const end = Math.min(
      wire.length,
      at + Math.min(usage.cuts[turn % usage.cuts.length] as number, usage.input === 'reused' ? memory.length : wire.length),
    );
    const stops = usage.stops[turn % usage.stops.length] === true;
    if (usage.mode === 'push' && stops) connection.pause();
    const own = usage.input === 'reused' ? memory.subarray(0, end - at) : wire.slice(at, end);
    if (usage.input === 'reused') own.set(wire.subarray(at, end));
    survives(() => connection.receiveData(own));
    if (usage.input === 'shared' && Buffer.compare(own, wire.subarray(at, end)) !== 0) throw new Error('wrote to shared input');
    if (usage.input === 'reused') own.fill(0xee);
    if (usage.mode === 'push' ? turn % 3 === 2 : !stops) settle(endpoint, usage, work);
    at = end;
  }
  survives(() => connection.receiveEof());
  settle(endpoint, usage, work);
  const output = endpoint.output();
  expect(endpoint.seen.at(-1)?.type).toBe('end');
  return {
    events: summary(endpoint.seen.slice(0, -1)),
    end: endpoint.end,
    output,
    messages: messagesOf(endpoint.seen).map((text) => digest(utf8(text))),
  };
}

/** The frames of the output: pongs in hex, close frames as they are, but for the reason of a failure. */
function repliesOf(output: Uint8Array, failed: boolean): string[] {
  const parser = new FrameParser();
  const frames = [...parser.push(output)];
  expect([parser.incomplete, parser.violation]).toEqual([false, null]);
  return frames.map((frame) => {
    if (frame.header.opcode === 10) return `PONG ${toHex(frame.payload)}`;
    return failed ? describeFrame(frame).replace(/ '.*/s, '') : describeFrame(frame);
  });
}

const roles: readonly Role[] = ['server', 'client'];
const LIMITS: readonly ModelLimits[] = [
  { maxMessageSize: 1 << 20, maxFragments: 1 << 20 },
  { maxMessageSize: 200, maxFragments: 1 << 20 },
  { maxMessageSize: 1 << 20, maxFragments: 2 },
];
const bareCut = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  flips: fc.array(fc.tuple(fc.nat(1 << 20), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
});

describe.each(roles)('%s', (role) => {
  it('any script, split and use: what the model says', () => {
    const met = new Set<string>();
    const ends = new Map<string, number>();
    fc.assert(
      fc.property(scripts(role), usages, deliveries, fc.constantFrom(...LIMITS), (script, usage, delivery, limits) => {
        const expected = model(script, delivery, limits);
        const wire = wireOf(script);
        const one = play({ role, delivery, limits }, ONE_PIECE, wire);
        const got = play({ role, delivery, limits }, usage, wire);
        for (const result of [one, got]) {
          expect(result.events).toEqual(summary(expected.events));
          const { cause, sent, ...end } = result.end;
          expect({ ...end, cause: cause?.code ?? null, sentCode: sent?.code ?? null }).toEqual(expected.end);
          expect(repliesOf(result.output, !expected.end.clean)).toEqual(expected.replies);
        }
        expect(got.output).toEqual(one.output);
        expect(got.end).toEqual(one.end);
        for (const pair of expected.met) met.add(pair);
        const why = expected.end.cause ?? 'clean';
        ends.set(why, (ends.get(why) ?? 0) + 1);
      }),
      { numRuns: RUNS, seed: 20_260_101 },
    );
    console.log(
      `${role}: ${RUNS} scripts met ${met.size} (state, frame) pairs; ended by ${[...ends].map(([why, times]) => `${why} ${times}`).join(', ')}`,
    );
    // The generator must not dry up: every breach, and clean ends, and ends in the middle.
    expect(ends.size).toBeGreaterThanOrEqual(13);
    expect(ends.get('clean')).toBeGreaterThan(RUNS / 20);
    expect(met.size).toBeGreaterThan(25);
  }, 300_000);

  it('cut short and corrupted, every use gives the same as one piece', () => {
    fc.assert(
      fc.property(scripts(role), usages, deliveries, bareCut, (script, usage, delivery, { at, flips }) => {
        const whole = wireOf(script);
        const wire = whole.slice(0, Math.floor(at * (whole.length + 1)));
        for (const [index, bits] of flips) if (wire.length > 0) (wire[index % wire.length] as number) ^= bits;
        const one = play({ role, delivery }, ONE_PIECE, wire);
        const got = play({ role, delivery }, usage, wire);
        expect(got).toEqual(one);
      }),
      { numRuns: RUNS, seed: 7 },
    );
  }, 300_000);

  it('arbitrary bytes never throw, and end the same way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), usages, deliveries, fc.boolean(), (wire, usage, delivery, lenient) => {
        const flags = { unmaskedClientFrames: true, maskedServerFrames: true, nonMinimalLength: true, reservedCloseCodes: true };
        const options: Omit<OpenOptions, 'mode' | 'input'> = { role, delivery, ...(lenient && { lenient: flags }) };
        expect(play(options, usage, wire)).toEqual(play(options, ONE_PIECE, wire));
      }),
      { numRuns: RUNS, seed: 11 },
    );
  }, 300_000);

  it('messages through extensions: the same, whatever the split and the room', () => {
    const parts = fc.array(
      fc.record({ size: fc.integer({ min: 0, max: 3000 }), seed: fc.nat(250), rsv: fc.constantFrom(0, 4, 2, 6), cut: fc.nat(3000) }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(parts, usages, deliveries, fc.constantFrom(1 << 20, 4000), (messages, usage, delivery, maxMessageSize) => {
        const peer = open({ role }).peer;
        const wire = concat(
          ...messages.flatMap(({ size, seed, rsv, cut }) => {
            const payload = pattern(size, seed);
            const at = Math.min(cut, size);
            return [
              peer.frame({ opcode: 2, rsv, fin: false, payload: payload.slice(0, at) }),
              peer.ping('between'),
              peer.continuation(payload.slice(at), true),
            ];
          }),
        );
        const options = (): Omit<OpenOptions, 'mode' | 'input'> => ({
          role,
          delivery,
          limits: { maxMessageSize },
          extensions: [
            extension('three', 4, () => repeater(3, pattern(5))),
            extension('flip', 2, () => xor(9)),
            extension('none', 1, identity),
          ],
        });
        expect(play(options(), usage, wire)).toEqual(play(options(), ONE_PIECE, wire));
      }),
      { numRuns: Math.floor(RUNS / 2), seed: 13 },
    );
  }, 300_000);

  it('messages through an asynchronous extension: the same as through a synchronous one', () => {
    const parts = fc.array(
      fc.record({ size: fc.integer({ min: 0, max: 700 }), seed: fc.nat(250), coded: fc.boolean(), cut: fc.nat(700) }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(parts, usages, deliveries, (messages, usage, delivery) => {
        const peer = open({ role }).peer;
        const wire = concat(
          ...messages.flatMap(({ size, seed, coded, cut }) => {
            const payload = pattern(size, seed);
            const at = Math.min(cut, size);
            return [
              peer.frame({ opcode: 2, rsv: coded ? 4 : 0, fin: false, payload: payload.slice(0, at) }),
              peer.ping('between'),
              peer.continuation(payload.slice(at), true),
            ];
          }),
        );
        const work = new Asynchronous();
        const got = play({ role, delivery, extensions: [work.extension] }, usage, wire, work);
        expect(got).toEqual(play({ role, delivery, extensions: [extension('flip', 4, () => xor(1))] }, ONE_PIECE, wire));
      }),
      { numRuns: Math.floor(RUNS / 2), seed: 23 },
    );
  }, 300_000);
});

describe('kernels', () => {
  const kernels = (calls: Map<string, number>): NonNullable<ConnectionOptions['kernels']> => {
    const count = (name: string) => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
    };
    return {
      decodeUtf8(bytes, start, end) {
        count('decodeUtf8');
        return isUtf8(bytes.subarray(start, end))
          ? Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
          : null;
      },
      isUtf8(bytes, start, end) {
        count('isUtf8');
        return isUtf8(bytes.subarray(start, end));
      },
      applyMask(bytes, start, end, maskKey, phase) {
        count('applyMask');
        for (let at = start; at < end; at++) (bytes[at] as number) ^= (maskKey >>> (24 - 8 * ((phase + at - start) & 3))) & 255;
        return (phase + end - start) & 3;
      },
    };
  };

  it.each(roles)(
    '%s: give the same results as the plain functions',
    (role) => {
      const calls = new Map<string, number>();
      const large = fc.record({
        size: fc.integer({ min: 0, max: 9000 }),
        bad: fc.option(fc.nat(9000)),
        cut: fc.nat(9000),
        wide: fc.boolean(),
      });
      fc.assert(
        fc.property(scripts(role), fc.array(large, { maxLength: 3 }), usages, deliveries, (script, texts, usage, delivery) => {
          const peer = open({ role }).peer;
          const extra = texts.map(({ size, bad, cut, wide }) => {
            const payload = Uint8Array.from(Buffer.from((wide ? 'é€😀x' : 'x').repeat(size)).subarray(0, size));
            if (bad !== null && bad < size) payload[bad] = 0xff;
            return concat(peer.text(payload.subarray(0, cut), false), peer.continuation(payload.subarray(cut), true));
          });
          const wire = concat(...extra, wireOf(script));
          expect(play({ role, delivery, kernels: kernels(calls) }, usage, wire)).toEqual(play({ role, delivery }, ONE_PIECE, wire));
        }),
        { numRuns: Math.floor(RUNS / 3), seed: 17 },
      );
      expect(calls.get('decodeUtf8')).toBeGreaterThan(0);
      expect(calls.get('isUtf8')).toBeGreaterThan(0);
      if (role === 'server') expect(calls.get('applyMask')).toBeGreaterThan(0);
    },
    300_000,
  );
});

it('a scanner of frames gives the same results as the loop over single frames', () => {
  const scanner = plainScanner();
  const short = fc.record({
    opcode: fc.constantFrom(1, 2),
    size: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.integer({ min: 0, max: 2100 })),
    content: fc.constantFrom('x', 'é', '😀'),
    // Seldom, or no text would come whole.
    bad: fc.option(fc.nat(2100), { freq: 300 }),
    other: fc.option(fc.constantFrom('ping', 'fragments'), { freq: 20 }),
  });
  fc.assert(
    fc.property(fc.array(short, { minLength: 30, maxLength: 150 }), scripts('server'), usages, (messages, script, usage) => {
      const peer = open({ role: 'server' }).peer;
      const parts = messages.map(({ opcode, size, content, bad, other }) => {
        const payload = opcode === 1 ? utf8(content.repeat(Math.ceil(size / Buffer.byteLength(content)))) : pattern(size, size);
        if (bad !== null && bad < payload.length) payload[bad] = 0xff;
        const whole = peer.frame({ opcode, payload });
        if (other === 'ping') return concat(peer.ping('between'), whole);
        return other === 'fragments' ? concat(peer.text('a', false), peer.continuation('b', true), whole) : whole;
      });
      const wire = concat(...parts, wireOf(script));
      const plain = play({ role: 'server', delivery: 'message' }, usage, wire);
      for (const input of ['reused', 'transferred'] as const) {
        expect(play({ role: 'server', delivery: 'message', kernels: { scanner } }, { ...usage, input }, wire)).toEqual(plain);
      }
      expect(play({ role: 'server', delivery: 'message', kernels: { scanner } }, ONE_PIECE, wire)).toEqual(plain);
    }),
    { numRuns: Math.floor(RUNS / 4), seed: 29 },
  );
  expect(scanner.found).toBeGreaterThan(2000);
}, 300_000);

/** Deliveries differ in shape and not in content. */
it('the three deliveries carry the same messages', () => {
  fc.assert(
    fc.property(scripts('server'), usages, (script, usage) => {
      const wire = wireOf(script);
      const [message, chunk, span] = (['message', 'chunk', 'span'] as const satisfies readonly Delivery[]).map((delivery) =>
        play({ role: 'server', delivery }, usage, wire),
      );
      expect(chunk?.end).toEqual(message?.end);
      expect(span?.end).toEqual(message?.end);
      expect(chunk?.output).toEqual(message?.output);
      expect(span?.output).toEqual(message?.output);
      expect(chunk?.messages).toEqual(message?.messages);
      expect(span?.messages).toEqual(message?.messages);
    }),
    { numRuns: Math.floor(RUNS / 3), seed: 19 },
  );
}, 300_000);
