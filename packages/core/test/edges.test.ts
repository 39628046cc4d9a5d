/** Branches that the other suites of the core do not reach: wrong arguments, custom kernels, and memory at its edges. */
import {
  Connection,
  type ConnectionOptions,
  type InboundTransform,
  type Kernels,
  type OutboundTransform,
  type TransformOutput,
  type TransformStatus,
} from '@ferrywire/core';
import { applyMask, copyMasked, FrameParser } from '@ferrywire/core/frame';
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, peerOf, toHex, utf8 } from './connection-helpers.ts';
import { extension } from './extension-helpers.ts';

const roles = ['server', 'client'] as const;

describe('wrong arguments', () => {
  const connection = (role: 'server' | 'client'): Record<string, (...values: readonly unknown[]) => unknown> =>
    open({ role }).connection as unknown as Record<string, (...values: readonly unknown[]) => unknown>;
  it.each([
    ['sendContinuation', ['a', 1], TypeError],
    ['sendContinuation', ['a'], TypeError],
    ['sendText', ['a', 5], TypeError],
    ['sendBinary', [Uint8Array.of(1), null], TypeError],
    ['startMessage', ['video'], TypeError],
    ['fail', [1005], RangeError],
    ['fail', [1010], RangeError],
    ['fail', [1011, 5], TypeError],
    ['close', [1010], RangeError],
    ['recycleInput', ['text'], TypeError],
    ['receiveData', ['text'], TypeError],
  ])('%s(%j)', (name, values, kind) => {
    expect(() => connection('server')[name]?.(...values)).toThrow(kind);
  });
  it('1010 is for clients to send (RFC 6455 section 7.4.1)', () => {
    const client = open({ role: 'client' });
    client.connection.fail(1010, 'an extension is missing');
    expect(client.sent()).toEqual(["CLOSE 1010 'an extension is missing'"]);
  });
  it.each(roles)('%s: a writer of binary takes no text, and no writer takes anything after its end', (role) => {
    const harness = open({ role });
    const writer = harness.connection.startMessage('binary');
    expect(() => writer.write('text')).toThrow(TypeError);
    expect(writer.write(Uint8Array.of(1))).toBe(true);
    expect(writer.end()).toBe(true);
    const ended = expect.objectContaining({ code: 'WS_MISUSE_WRITER_ENDED' });
    expect(() => writer.write(Uint8Array.of(2))).toThrow(ended);
    expect(() => writer.end()).toThrow(ended);
    expect(harness.sent()).toHaveLength(2);
  });
  it('masks come from the platform unless another source is given, and no two are alike', () => {
    const keys = new Set<number>();
    const client = new Connection({ role: 'client', clock: () => 0, onTrace: ({ frame }) => keys.add(frame?.maskKey ?? 0) });
    for (let count = 0; count < 500; count++) client.sendText('x');
    // Two of 500 random keys are alike in one of 34 000 runs, three in none.
    expect(keys.size).toBeGreaterThan(497);
  });
});

describe('kernels', () => {
  it.each(roles)('%s: those of the host are used from a certain size on, with and without a mask', (role) => {
    const calls = { applyMask: 0, copyMasked: 0 };
    const kernels: Kernels & { copyMasked: typeof copyMasked } = {
      applyMask: (...values) => {
        calls.applyMask++;
        return applyMask(...values);
      },
      copyMasked: (...values) => {
        calls.copyMasked++;
        return copyMasked(...values);
      },
    };
    for (const input of ['shared', 'transferred'] as const) {
      const options: ConnectionOptions = { role, clock: () => 0, kernels, input };
      const got: Uint8Array[] = [];
      const connection = new Connection({ ...options, sink: { onBinary: (data) => void got.push(data) } });
      const peer = peerOf(role);
      for (const size of [0, 1, 100, 5000, 100_000]) {
        const wire = peer.binary(pattern(size));
        connection.receiveData(wire.slice(0, wire.length >> 1));
        connection.receiveData(wire.slice(wire.length >> 1));
        expect(toHex(got.pop() ?? new Uint8Array())).toBe(toHex(pattern(size)));
      }
    }
    if (role === 'server') expect(calls.applyMask + calls.copyMasked).toBeGreaterThan(0);
  });
});

describe('memory that comes back', () => {
  it.each(roles)('%s: is used for a message that fits, and for none that does not', (role) => {
    const harness = open({ role });
    const { peer, connection } = harness;
    for (const size of [40_000, 40_000, 30_000, 1000, 50_000, 40_000]) {
      harness.receive(peer.binary(pattern(size, size)));
      const message = harness.of('binary').at(-1);
      expect(toHex(message?.data ?? new Uint8Array())).toBe(toHex(pattern(size, size)));
      if (message !== undefined) connection.recycleInput(message.data);
    }
    connection.abort();
    connection.recycleInput(new Uint8Array(10));
  });
});

describe('the trace', () => {
  it('names opcodes that have no name, and cuts between characters', () => {
    const harness = open({ role: 'server', tracing: true });
    harness.receive(harness.peer.text(`a${'ä'.repeat(40)}`));
    harness.receive(harness.peer.frame({ opcode: 11 }));
    const lines = harness.trace.map(({ text }) => text);
    expect(lines.find((line) => line.startsWith('< TEXT'))).toMatch(/^< TEXT 'aä{15}…' \[81 bytes\]$/);
    expect(lines.find((line) => line.includes('OPCODE 11'))).toContain('refused');
  });
});

describe('input that says nothing', () => {
  it.each(roles)('%s: empty chunks while paused, in pull mode and behind held input', (role) => {
    const harness = open({ role, mode: 'pull', pulling: false });
    const { peer, connection } = harness;
    harness.receive(new Uint8Array(0), peer.text('a'), new Uint8Array(0), peer.text('b'), new Uint8Array(0));
    harness.pull(1);
    connection.pause();
    harness.receive(new Uint8Array(0), peer.text('c'));
    harness.pull();
    expect(harness.of('text').map(({ data }) => data)).toEqual(['a']);
    connection.resume();
    harness.pull();
    expect(harness.of('text').map(({ data }) => data)).toEqual(['a', 'b', 'c']);
  });
  it.each(roles)("%s: a span's message without payload, and one whose last frame is empty", (role) => {
    const harness = open({ role, mode: 'pull', delivery: 'span', target: new Uint8Array(3) });
    const { peer } = harness;
    harness.receive(peer.binary(new Uint8Array(0)), peer.text('abcd', false), peer.continuation('', true));
    expect(harness.seen).toMatchObject([
      { type: 'start' },
      { type: 'finish', kind: 'binary' },
      { type: 'start' },
      { type: 'span', data: utf8('abc') },
      { type: 'span', data: utf8('d') },
      { type: 'finish', kind: 'text' },
    ]);
  });
});

describe('FrameParser', () => {
  it('gives exact payloads whether they came whole, grew, or were guessed too large', () => {
    for (const size of [0, 1, 125, 1000, 70_000]) {
      const wire = peerOf('server').binary(pattern(size));
      for (const step of [wire.length, 7, 900]) {
        const parser = new FrameParser();
        const frames = [];
        for (let at = 0; at < wire.length; at += step) frames.push(...parser.push(wire.slice(at, at + step)));
        expect(frames.map(({ payload }) => toHex(payload))).toEqual([toHex(pattern(size))]);
      }
    }
  });
});

describe('long text', () => {
  it.each(roles)('%s: of one, two, three and four bytes a character, in any mixture, at every edge of size', (role) => {
    for (const unit of ['x', 'ä', '€', '😀', 'xä€😀']) {
      for (const count of [20, 64, 65, 5000, 16_384, 16_385, 70_000]) {
        const text = unit.repeat(Math.ceil(count / unit.length));
        const harness = open({ role });
        expect(harness.connection.sendText(text)).toBe(true);
        const frames = harness.frames();
        expect(concat(...frames.map(({ payload }) => payload)).length).toBe(Buffer.byteLength(text));
        expect(Buffer.from(concat(...frames.map(({ payload }) => payload))).toString() === text).toBe(true);
      }
    }
  });
  it('half a surrogate pair waits for its other half, in a continuation too', () => {
    const harness = open({ role: 'server' });
    harness.connection.sendText('a\ud83d', { fin: false });
    harness.connection.sendContinuation('\ude00b\ud83d', false);
    harness.connection.sendContinuation(utf8('!'), true);
    expect(Buffer.from(concat(...harness.frames().map(({ payload }) => payload))).toString()).toBe('a😀b\ufffd!');
    expect(hex('00')).toEqual(Uint8Array.of(0));
  });
});

describe('transforms that break their contract', () => {
  const tooMuch = (_input: Uint8Array, start: number, end: number, out: TransformOutput): { consumed: number; status: TransformStatus } => {
    out.write(new Uint8Array(out.room + 1), 0, out.room + 1);
    return { consumed: end - start, status: 'need' };
  };
  const idle = (): { consumed: number; status: TransformStatus } => ({ consumed: 0, status: 'more' });
  const inbound = (push: InboundTransform['push']): InboundTransform => ({ begin: () => true, push, finish: () => 'need' });
  const outbound = (push: InboundTransform['push']): OutboundTransform => ({
    begin: () => 4,
    push(input, start, end, _fin, out) {
      const result = push(input, start, end, out);
      return 'status' in result ? result : { consumed: 0, status: 'need' };
    },
    cacheKey: null,
  });

  for (const [name, push, message] of [
    ['write more than there is room', tooMuch, /out\.room/],
    ['ask for more for ever', idle, /more steps/],
  ] as const) {
    it.each(roles)(`%s: receiving, those that ${name} throw`, (role) => {
      for (const delivery of ['message', 'chunk', 'span'] as const) {
        const harness = open({ role, delivery, extensions: [extension('bad', 4, () => inbound(push))] });
        expect(() => harness.receive(harness.peer.frame({ opcode: 2, rsv: 4, payload: pattern(10) }))).toThrow(message);
      }
    });
    it.each(roles)(`%s: sending, those that ${name} throw`, (role) => {
      const harness = open({ role, extensions: [extension('bad', 4, () => inbound(idle), outbound(push))] });
      expect(() => harness.connection.sendBinary(pattern(10))).toThrow(message);
    });
  }
});
