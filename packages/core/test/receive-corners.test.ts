/** Receiving, where few inputs lead: re-entrant calls, memory that is shared by many, decoded data larger than a turn, and the end of limits. */
import { Connection, type InboundTransform, type TransformOutput, type TransformStatus } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, digest, open, pattern, peerOf, utf8 } from './connection-helpers.ts';
import { bomb, extension, identity, message, xor } from './extension-helpers.ts';

const roles = ['server', 'client'] as const;

describe('calls from inside a callback', () => {
  it.each(roles)("%s: the transport's end, or its failure, takes effect after the rest of the input", (role) => {
    for (const how of ['receiveEof', 'receiveError'] as const) {
      const harness = open({ role, hooks: { onText: () => harness.connection[how](new Error('reset')) } });
      harness.receive(concat(harness.peer.text('a'), harness.peer.text('b')));
      expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'text', 'end']);
      expect(harness.end.cause?.code).toBe(how === 'receiveEof' ? 'WS_EOF' : 'WS_TRANSPORT');
    }
  });
  it.each(roles)('%s: wake() changes nothing where nothing is pending', (role) => {
    const harness = open({ role, hooks: { onText: () => harness.connection.wake() } });
    harness.receive(concat(harness.peer.text('a'), harness.peer.text('b')));
    harness.connection.wake();
    expect(harness.of('text').map(({ data }) => data)).toEqual(['a', 'b']);
    expect(harness.sent()).toEqual([]);
  });
  it('each callback may feed another connection: six deep, all see their own text', () => {
    const seen: string[][] = [];
    const connections: Connection[] = [];
    const peer = peerOf('server');
    for (let depth = 0; depth < 6; depth++) {
      const own: string[] = [];
      seen.push(own);
      const sink = {
        // Memory of the span is the connection's own: what the next one is fed must not change it.
        onSpan(buffer: Uint8Array, start: number, end: number): void {
          connections[depth + 1]?.receiveData(peer.text(`level ${depth + 1} `.repeat(9)));
          own.push(Buffer.from(buffer.subarray(start, end)).toString());
        },
      };
      connections.push(new Connection({ role: 'server', clock: () => 0, delivery: 'span', sink }));
    }
    for (let round = 0; round < 2; round++) connections[0]?.receiveData(peer.text('level 0 '.repeat(9)));
    expect(seen.map((own) => own.join(''))).toEqual(seen.map((_, depth) => `level ${depth} `.repeat(18)));
  });
});

it.each(roles)('%s: many connections may be in the middle of a frame, and none sees anything of another', (role) => {
  const harnesses = Array.from({ length: 20 }, () => open({ role }));
  for (let round = 0; round < 2; round++) {
    const wires = harnesses.map(({ peer }, index) => concat(peer.ping(`ping ${index}`), peer.binary(pattern(200 + index, index + round))));
    for (const step of [1, 4, 9, 150]) {
      for (const [index, harness] of harnesses.entries()) {
        const wire = wires[index] as Uint8Array;
        harness.receive(wire.slice(0, step));
        wires[index] = wire.slice(step);
      }
    }
    for (const [index, harness] of harnesses.entries()) {
      harness.receive(wires[index] as Uint8Array);
      expect(harness.of('binary').map(({ data }) => digest(data))[round]).toBe(digest(pattern(200 + index, index + round)));
      expect(harness.of('ping').map(({ data }) => Buffer.from(data).toString())[round]).toBe(`ping ${index}`);
    }
  }
});

describe('transforms', () => {
  it.each(roles)('%s: whoever pulls gets a message that takes several turns to decode', (role) => {
    const size = 5 << 20;
    const harness = open({ role, mode: 'pull', limits: { maxMessageSize: size }, extensions: [extension('bomb', 4, () => bomb(size))] });
    harness.receive(harness.peer.frame({ opcode: 2, rsv: 4, payload: Uint8Array.of(1) }));
    const [only, ...more] = harness.of('binary');
    expect([only?.data.length, more.length]).toEqual([size, 0]);
    expect(only?.data.every((byte) => byte === 0x7a)).toBe(true);
  });
  it.each(roles)('%s: writing on after the text stopped being UTF-8 changes nothing', (role) => {
    const writes = (input: Uint8Array, start: number, end: number, out: TransformOutput): { consumed: number; status: TransformStatus } => {
      const part = new Uint8Array(40_000).fill(input[start] as number);
      for (let count = 0; count < 4; count++) out.write(part, 0, part.length);
      return { consumed: end - start, status: 'need' };
    };
    const transform: InboundTransform = { begin: () => true, push: writes, finish: () => 'need' };
    for (const [byte, cause] of [
      [0x61, undefined],
      [0xff, 'WS_INVALID_UTF8'],
    ] as const) {
      const harness = open({ role, extensions: [extension('four', 4, () => transform)] });
      harness.receive(harness.peer.frame({ opcode: 1, rsv: 4, payload: Uint8Array.of(byte) }));
      harness.connection.receiveEof();
      expect(harness.end.cause?.code).toBe(cause ?? 'WS_EOF');
      expect(harness.of('text').map(({ data }) => data === 'a'.repeat(160_000))).toEqual(cause === undefined ? [true] : []);
    }
  });
  it.each(roles)('%s: the second of two may leave what the first has written', (role) => {
    // Takes at most seven bytes a step, so that the buffer between the two is read in many.
    const slow: InboundTransform = {
      begin: () => true,
      push(input, start, end, out) {
        const count = Math.min(7, end - start, out.room);
        out.write(input, start, start + count);
        return { consumed: count, status: count < end - start ? 'more' : 'need' };
      },
      finish: () => 'need',
    };
    for (const delivery of ['message', 'span'] as const) {
      // The last of the response is undone first.
      const extensions = [extension('slow', 4, () => slow), extension('xor', 2, () => xor(0x55))];
      const harness = open({ role, delivery, extensions });
      const payload = pattern(500);
      harness.receive(harness.peer.frame({ opcode: 2, rsv: 6, payload: payload.map((byte) => byte ^ 0x55) }));
      const got = delivery === 'message' ? harness.of('binary') : harness.of('span');
      expect(digest(concat(...got.map(({ data }) => data)))).toBe(digest(payload));
    }
  });
  it.each(roles)('%s: a message that its transform leaves alone has the limit of messages, not that of compressed frames', (role) => {
    for (const [size, cause] of [
      [1000, 'WS_EOF'],
      [1001, 'WS_MESSAGE_TOO_BIG'],
    ] as const) {
      const extensions = [extension('declines', 4, () => ({ ...identity(), begin: () => false }))];
      const harness = open({ role, extensions, limits: { maxMessageSize: 1000 } });
      harness.receive(harness.peer.frame({ opcode: 2, rsv: 4, payload: pattern(size) }));
      harness.connection.receiveEof();
      expect([size, harness.end.cause?.code, harness.of('binary').length]).toEqual([size, cause, size === 1000 ? 1 : 0]);
    }
  });
});

describe('large transferred input', () => {
  it.each(roles)('%s: text in fragments is checked where it stays', (role) => {
    for (const bad of [false, true]) {
      const harness = open({ role, input: 'transferred' });
      const part = new Uint8Array(40_000).fill(0x61);
      if (bad) part[39_999] = 0xff;
      harness.receive(harness.peer.text(part, false));
      harness.receive(harness.peer.continuation(part, true));
      harness.connection.receiveEof();
      expect(harness.end.cause?.code).toBe(bad ? 'WS_INVALID_UTF8' : 'WS_EOF');
      expect(harness.of('text').map(({ data }) => data.length)).toEqual(bad ? [] : [80_000]);
    }
  });
});

describe('what arrives after close()', () => {
  it.each(roles)('%s: pulled by nobody, maxMessageSize of it is kept, and the rest is counted', (role) => {
    const harness = open({ role, mode: 'pull', pulling: false, limits: { maxMessageSize: 1000 } });
    const { connection, peer } = harness;
    connection.close(1000);
    for (const size of [600, 400, 1, 100]) harness.receive(peer.text('x'.repeat(size)));
    harness.receive(peer.close(1000));
    harness.pull();
    expect(harness.of('text').map(({ data }) => data.length)).toEqual([600, 400]);
    expect(connection.stats).toMatchObject({ messagesIn: 4, messagesDiscarded: 2 });
    expect(harness.of('close')).toHaveLength(1);
  });
  it.each(roles)('%s: after a pause, text in fragments and decoded text are discarded and counted, and bad text still fails', (role) => {
    for (const bad of [false, true]) {
      const harness = open({ role, extensions: [extension('plain', 4, identity)] });
      const { connection, peer } = harness;
      connection.pause();
      connection.close(1000);
      harness.receive(peer.text('frag', false), peer.continuation('ments', true));
      harness.receive(message(peer, 1, 4, utf8('deco'), bad ? Uint8Array.of(0xff) : utf8('ded')));
      harness.receive(peer.close(1000));
      connection.receiveEof();
      expect(harness.of('text')).toEqual([]);
      expect(connection.stats).toMatchObject({ messagesIn: bad ? 1 : 2, messagesDiscarded: bad ? 1 : 2 });
      expect(harness.end.cause?.code).toBe(bad ? 'WS_INVALID_UTF8' : undefined);
    }
  });
});

describe('input that waits', () => {
  it.each(['shared', 'reused', 'transferred'] as const)('%s: is read later as it was, in pieces of every size', (input) => {
    for (const role of roles) {
      const harness = open({ role, input });
      const { peer, connection } = harness;
      connection.pause();
      const sizes = [1, 255, 256, 257, 4095, 4096, 5000, 70_000, 3, 65_536];
      for (const [index, size] of sizes.entries()) {
        const chunk = Uint8Array.from(peer.binary(pattern(size, index)));
        harness.receive(new Uint8Array(0), chunk);
        // Its memory is the host's own again.
        if (input === 'reused') chunk.fill(0xff);
        // A small part of a large buffer.
        const wide = new Uint8Array(40_000);
        const frame = peer.binary(pattern(5000, index));
        wide.set(frame, 100);
        harness.receive(wide.subarray(100, 100 + frame.length));
        if (input === 'reused') wide.fill(0xff);
      }
      expect(harness.seen).toEqual([]);
      connection.resume();
      const expected = sizes.flatMap((size, index) => [pattern(size, index), pattern(5000, index)]);
      expect(harness.of('binary').map(({ data }) => digest(data))).toEqual(expected.map(digest));
    }
  });
});

describe('the trace', () => {
  it.each(roles)('%s: shows the first 125 bytes however they came, and no more', (role) => {
    for (const step of [1, 50, 100, 200, 1000]) {
      const harness = open({ role, tracing: true });
      const wire = harness.peer.binary(pattern(600));
      for (let at = 0; at < wire.length; at += step) harness.receive(wire.slice(at, at + step));
      const frames = harness.trace.flatMap(({ frame }) => frame ?? []);
      expect(frames).toMatchObject([{ opcode: 2, length: 600, lengthBytes: 2, fin: true }]);
      expect(digest(frames[0]?.preview ?? new Uint8Array())).toBe(digest(pattern(125)));
    }
  });
});
