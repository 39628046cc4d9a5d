/** After close() in pull mode as much as one message of the largest size waits to be pulled; what is pulled makes room (docs/defaults.md). */
import { runInNewContext } from 'node:vm';
import { prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { open, pattern, toHex } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

describe.each(roles)('a closing %s in pull mode', (role) => {
  it.each([
    ['message', 'text'],
    ['message', 'binary'],
    ['chunk', 'text'],
    ['chunk', 'binary'],
    ['span', 'binary'],
  ] as const)('delivery %s, %s: what was pulled is no longer counted', (delivery, kind) => {
    const harness = open({ role, mode: 'pull', delivery, pulling: false, limits: { maxMessageSize: 1000 }, target: new Uint8Array(250) });
    const { connection, peer } = harness;
    const frame = (size: number): Uint8Array => (kind === 'text' ? peer.text('x'.repeat(size)) : peer.binary(pattern(size)));
    connection.close(1000);
    for (let round = 0; round < 5; round++) {
      harness.receive(frame(600), frame(300));
      harness.pull();
    }
    expect(connection.stats).toMatchObject({ messagesIn: 10, messagesDiscarded: 0 });
    const bytes = harness.seen.reduce((sum, event) => {
      return sum + (['text', 'binary', 'textChunk', 'span'].includes(event.type) && 'data' in event ? event.data.length : 0);
    }, 0);
    expect(bytes).toBe(4500);
    // Too much at once: the rest is discarded from there on.
    harness.receive(frame(900), frame(101), frame(10));
    harness.receive(peer.close(1000));
    harness.pull();
    expect(connection.stats).toMatchObject({ messagesIn: 13, messagesDiscarded: 2 });
    expect(harness.of('close')).toHaveLength(1);
  });
});

describe('a wrong argument is named', () => {
  it.each([
    [null, 'null'],
    [[1], 'an array'],
    [{}, 'an object'],
    [5, 'number'],
    [undefined, 'undefined'],
  ])('%j is %s', (value, name) => {
    const { connection } = open({ role: 'server' });
    expect(() => connection.sendText(value as unknown as string)).toThrow(`data must be a string or a Uint8Array, not ${name}`);
    expect(() => connection.sendBinary(value as unknown as Uint8Array)).toThrow(`data must be a Uint8Array, not ${name}`);
  });

  it('bytes of another realm are bytes', () => {
    const foreign = runInNewContext('({ Uint8Array, Uint16Array, Object })') as typeof globalThis;
    expect(foreign.Uint8Array).not.toBe(Uint8Array);
    const harness = open({ role: 'server' });
    harness.receive(foreign.Uint8Array.from(harness.peer.text('hi')));
    expect(harness.of('text').map(({ data }) => data)).toEqual(['hi']);
    const { connection } = harness;
    connection.send(foreign.Uint8Array.of(7));
    connection.sendPrepared(prepareMessage(foreign.Uint8Array.of(8)));
    connection.ping(foreign.Uint8Array.of(9));
    expect(connection.takeOutput().map(toHex)).toEqual(['820107820108890109']);
    for (const value of [new foreign.Uint16Array(1), new foreign.Object(), { [Symbol.toStringTag]: 'Uint8Array' }]) {
      expect(() => connection.sendBinary(value as Uint8Array)).toThrow('data must be a Uint8Array, not an object');
    }
  });
});
