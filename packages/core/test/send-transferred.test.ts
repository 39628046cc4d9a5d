/**
 * A message whose buffer the application transfers (to a worker) before it was written: what was announced cannot be sent any more, so the
 * connection ends and says why. Nothing of it reaches the peer, nothing throws, and what was copied is sent.
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
    [1006, false, 'local', 'WS_ABORTED', 'the buffer of a message was transferred before it was written'],
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
