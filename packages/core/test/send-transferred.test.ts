/**
 * A message whose buffer the application transfers (to a worker) or resizes before it was written: what was announced cannot be sent any
 * more, so the connection ends and says why. Nothing of it reaches the peer, nothing throws, and what was copied is sent.
 */
import { prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { type Harness, open, pattern } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { digest, doubled, doubling, roles, sentMessages } from './sending-helpers.ts';

const LARGE = 16_384;
const QUIET = { keepalive: 0, closing: 0 };

function give(data: Uint8Array): void {
  structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
  expect(data.length).toBe(0);
}
/** It has ended because of what was transferred, with nothing written. */
function expectLost(harness: Harness): void {
  const { connection } = harness;
  expect(harness.of('end').map(({ code, clean, initiator, cause }) => [code, clean, initiator, cause?.code, cause?.message])).toEqual([
    [1006, false, 'local', 'WS_ABORTED', 'the buffer of a message was transferred or resized before it was written'],
  ]);
  expect([connection.transport, connection.state, connection.wantsRead, connection.nextTimeout()]).toEqual([
    'abort',
    'closed',
    false,
    null,
  ]);
  expect([connection.bufferedAmount, connection.takeOutput(), connection.send('more')]).toEqual([0, [], false]);
}

describe('a server', () => {
  it('ends when a large message has gone, and sends nothing of what was queued with it', () => {
    for (const around of [false, true]) {
      const harness = open({ role: 'server' });
      const data = pattern(LARGE);
      if (around) harness.connection.send('before');
      harness.connection.send(data);
      if (around) harness.connection.send(pattern(LARGE));
      give(data);
      expect(harness.of('end')).toEqual([]);
      expect(harness.connection.takeOutput()).toEqual([]);
      expectLost(harness);
      expect(harness.connection.stats.bytesOut).toBe(0);
    }
  });
  it('lets go of its extensions then', () => {
    const plain = extension('plain', 4, identity);
    const harness = open({ role: 'server', extensions: [plain] });
    const data = pattern(LARGE);
    harness.connection.send(data);
    give(data);
    expect(harness.connection.takeOutput()).toEqual([]);
    expectLost(harness);
    expect(plain.disposed).toBe(1);
  });
  it('ends when a fragment has gone', () => {
    const harness = open({ role: 'server' });
    const parts = [pattern(LARGE, 1), pattern(LARGE, 2)];
    harness.connection.sendBinary(parts[0] as Uint8Array, { fin: false });
    harness.connection.sendContinuation(parts[1] as Uint8Array, false);
    give(parts[1] as Uint8Array);
    expect(harness.connection.takeOutput()).toEqual([]);
    expectLost(harness);
  });
  it('has copied what is smaller', () => {
    const harness = open({ role: 'server' });
    const data = pattern(LARGE - 1);
    harness.connection.send(data);
    give(data);
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual([digest(pattern(LARGE - 1))]);
    expect(harness.connection.state).toBe('open');
  });
  it('minds nothing once the message was taken', () => {
    const harness = open({ role: 'server' });
    const data = pattern(LARGE);
    harness.connection.send(data);
    expect(harness.frames()).toHaveLength(1);
    give(data);
    expect(harness.frames()).toEqual([]);
    expect(harness.connection.state).toBe('open');
  });
  it('is not steady while memory of the application waits', () => {
    const { connection } = open({ role: 'server' });
    expect(connection.steadyUntil(0)).toBe(true);
    connection.send(pattern(LARGE - 1));
    expect(connection.steadyUntil(0)).toBe(true);
    connection.send(pattern(LARGE));
    expect(connection.steadyUntil(0)).toBe(false);
    connection.takeOutput();
    expect(connection.steadyUntil(0)).toBe(true);
  });
  it('that has ended already ends once', () => {
    const harness = open({ role: 'server' });
    const data = pattern(LARGE);
    harness.connection.send(data);
    give(data);
    harness.connection.abort();
    expect(harness.connection.takeOutput()).toEqual([]);
    expect(harness.of('end').map(({ cause }) => cause?.message)).toEqual(['aborted by the application']);
  });
});

describe.each(roles)('%s: data without its buffer', (role) => {
  const gone = (): Uint8Array => {
    const data = pattern(10);
    give(data);
    return data;
  };
  it('is refused at once, where an empty message is sent', () => {
    const harness = open({ role, timeouts: QUIET });
    const { connection } = harness;
    for (const send of [
      (data: Uint8Array) => connection.send(data),
      (data: Uint8Array) => connection.sendBinary(data),
      (data: Uint8Array) => connection.sendText(data),
      (data: Uint8Array) => prepareMessage(data),
    ]) {
      expect(() => send(gone())).toThrow(new TypeError('the buffer of data has been transferred'));
      send(new Uint8Array(0));
      send(new Uint8Array(new ArrayBuffer(8), 8));
    }
    expect(() => connection.ping(gone())).toThrow(new TypeError('the buffer of payload has been transferred'));
    connection.ping(new Uint8Array(0));
    connection.sendBinary(pattern(5), { fin: false });
    expect(() => connection.sendContinuation(gone(), true)).toThrow(new TypeError('the buffer of data has been transferred'));
    connection.sendContinuation(new Uint8Array(0), true);
    expect(harness.frames().map(({ payload }) => payload.length)).toEqual([0, 0, 0, 0, 0, 0, 0, 5, 0]);
  });
  it('is refused by a writer', () => {
    const { connection } = open({ role });
    const writer = connection.startMessage('binary');
    expect(() => writer.write(gone())).toThrow(TypeError);
    writer.write(pattern(3));
    writer.end();
  });
});

describe('a client', () => {
  it('has masked a copy', () => {
    const harness = open({ role: 'client' });
    const data = pattern(LARGE);
    harness.connection.send(data);
    give(data);
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual([digest(pattern(LARGE))]);
  });
  it('ends when memory that it masked in place has gone', () => {
    const harness = open({ role: 'client' });
    const data = pattern(LARGE);
    harness.connection.send(data, { transfer: true });
    give(data);
    expect(harness.connection.takeOutput()).toEqual([]);
    expectLost(harness);
  });
});

describe.each(roles)('%s: a message that a transform has not done', (role) => {
  it.each([0, 1])('ends the connection in its turn, message %i of two', (which) => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    const messages = [pattern(200_000, 1), pattern(150_000, 2)];
    for (const data of messages) harness.connection.sendBinary(data);
    expect(harness.connection.takeOutput()).toEqual([]);
    expect(harness.connection.state).toBe('open');
    give(messages[which] as Uint8Array);
    for (let turn = 0; turn < 20 && harness.connection.state === 'open'; turn++) harness.connection.handleTimeout();
    expectLost(harness);
  });
  it('is done where it was copied', () => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    harness.connection.sendBinary(pattern(200_000, 1));
    const small = pattern(4000, 2);
    harness.connection.sendBinary(small);
    give(small);
    for (let turn = 0; turn < 20; turn++) harness.connection.handleTimeout();
    const sent = sentMessages(harness.frames());
    expect(sent.map(({ payload }) => digest(payload))).toEqual(
      [pattern(200_000, 1), pattern(4000, 2)].map((data) => digest(doubled(data))),
    );
  });
});

/** What the types of ES2022 do not know. */
interface Resizable {
  resize(size: number): void;
}
interface Growable {
  grow(size: number): void;
}
const MOST = 1_000_000;
/** Shows the whole of a buffer, however large that is. */
function resizable(size: number): { readonly data: Uint8Array; resize(size: number): void } {
  const Buffers = ArrayBuffer as unknown as new (size: number, options: { maxByteLength: number }) => ArrayBuffer & Resizable;
  const buffer = new Buffers(size, { maxByteLength: MOST });
  const data = new Uint8Array(buffer);
  data.set(pattern(size));
  return { data, resize: (next) => buffer.resize(next) };
}
function growable(size: number): { readonly data: Uint8Array; resize(size: number): void } {
  const Buffers = SharedArrayBuffer as unknown as new (size: number, options: { maxByteLength: number }) => SharedArrayBuffer & Growable;
  const buffer = new Buffers(size, { maxByteLength: MOST });
  const data = new Uint8Array(buffer);
  data.set(pattern(size));
  return { data, resize: (next) => buffer.grow(next) };
}

describe('a buffer that is resized', () => {
  it.each([
    ['shrinks', resizable, LARGE],
    ['shrinks to nothing', resizable, 0],
    ['grows', resizable, 50_000],
    ['is shared and grows', growable, 50_000],
  ] as const)('and %s ends a server, with nothing of what was queued sent', (_name, make, size) => {
    for (const transfer of [false, true]) {
      const harness = open({ role: 'server' });
      const { data, resize } = make(30_000);
      harness.connection.send('before');
      harness.connection.send(data, { transfer });
      harness.connection.send('behind');
      resize(size);
      expect(harness.of('end')).toEqual([]);
      expect(harness.connection.takeOutput()).toEqual([]);
      expectLost(harness);
      expect(harness.connection.stats.bytesOut).toBe(0);
    }
  });
  it('ends a server in fragments, behind a pong, and where two messages change so that their sum stays', () => {
    for (const [first, second] of [
      [30_000, 20_001],
      [20_000, 30_000],
      [29_999, 20_001],
    ] as const) {
      const harness = open({ role: 'server' });
      const made = [resizable(30_000), resizable(20_000)] as const;
      harness.connection.sendBinary(made[0].data, { fin: false });
      harness.connection.sendContinuation(made[1].data, true);
      harness.receive(harness.peer.ping('p'));
      made[0].resize(first);
      made[1].resize(second);
      expect(harness.connection.takeOutput()).toEqual([]);
      expectLost(harness);
    }
  });
  it('ends a client that masked it in place, and does nothing to one that masked a copy', () => {
    for (const size of [LARGE, 50_000]) {
      for (const transfer of [false, true]) {
        const harness = open({ role: 'client' });
        const { data, resize } = resizable(30_000);
        harness.connection.send(data, { transfer });
        resize(size);
        if (transfer) {
          expect(harness.connection.takeOutput()).toEqual([]);
          expectLost(harness);
        } else expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual([digest(pattern(30_000))]);
      }
    }
  });
  it('does nothing to a message that was copied, that was taken, or whose length is its own', () => {
    const harness = open({ role: 'server' });
    const short = resizable(LARGE - 1);
    harness.connection.send(short.data);
    short.resize(LARGE);
    const taken = resizable(LARGE);
    harness.connection.send(taken.data);
    const fixed = resizable(LARGE + 1);
    harness.connection.send(new Uint8Array(fixed.data.buffer, 0, LARGE));
    fixed.resize(50_000);
    const sent = sentMessages(harness.frames());
    expect(sent.map(({ payload }) => digest(payload))).toEqual([LARGE - 1, LARGE, LARGE].map((size) => digest(pattern(size))));
    taken.resize(50_000);
    harness.connection.send('more');
    expect(harness.sent()).toEqual(["TEXT 'more'"]);
  });
  it('gives back the memory of what was queued with it', () => {
    const harness = open({ role: 'server' });
    harness.connection.send('before');
    const before = harness.connection.takeOutput();
    for (const chunk of before) harness.connection.recycleOutput(chunk);
    const { data, resize } = resizable(30_000);
    harness.connection.send(data);
    resize(40_000);
    expect(harness.connection.takeOutput()).toEqual([]);
    const other = open({ role: 'server' });
    other.connection.send('before');
    const [after] = other.connection.takeOutput();
    expect(after?.buffer).toBe(before[0]?.buffer);
    expect(after?.byteOffset).toBe(before[0]?.byteOffset);
  });
});

describe.each(roles)('%s: a message that is resized before a transform has done it', (role) => {
  it.each([140_000, 160_000])('ends the connection in its turn, with %i bytes', (size) => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    const { data, resize } = resizable(150_000);
    harness.connection.sendBinary(data);
    expect(harness.connection.takeOutput()).toEqual([]);
    resize(size);
    for (let turn = 0; turn < 20 && harness.connection.state === 'open'; turn++) harness.connection.handleTimeout();
    expectLost(harness);
  });
});
