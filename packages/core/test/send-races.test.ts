/**
 * Sending at awkward moments: from inside the trace, on a writer that was left behind by a close, with pongs and transforms waiting; and what
 * is prepared once stays as it is, however often and by whomever it is sent.
 */
import { type Connection, type MessageWriter, type OutboundTransform, prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { digest, type Harness, hex, type OpenOptions, open, pattern, utf8 } from './connection-helpers.ts';
import { extension, identity } from './extension-helpers.ts';
import { doubling, drained, roles, sentMessages, thrownBy, wrong } from './sending-helpers.ts';

describe.each(roles)('fragments of a %s', (role) => {
  it('a binary message takes bytes only', () => {
    const { connection, sent } = open({ role });
    connection.sendBinary(hex('01'), { fin: false });
    expect(thrownBy(() => connection.sendContinuation('text', true))).toMatchObject({
      name: 'TypeError',
      message: 'data must be a Uint8Array: the message is binary',
    });
    expect(connection.sendContinuation(hex('02'), true)).toBe(true);
    expect(sent()).toEqual(['BINARY 01 ...', "CONTINUATION '\u0002'"]);
  });

  it('a writer says what it is given wrongly, in whatever state', () => {
    const { connection } = open({ role });
    const writer = connection.startMessage('binary');
    connection.close();
    expect(thrownBy(() => writer.write('text')).message).toBe('data must be a Uint8Array: the message is binary');
    expect(thrownBy(() => writer.write(wrong(5))).message).toBe('data must be a string or a Uint8Array, not number');
    expect(writer.write(hex('01'))).toBe(false);
  });

  it('after a close in the middle of a message another one can be begun, and comes to nothing', () => {
    for (const begin of [
      (connection: Connection): unknown => connection.sendText('a', { fin: false }),
      (connection: Connection): unknown => connection.startMessage('text').write('a'),
      (connection: Connection): unknown => connection.startMessage('text'),
    ]) {
      const { connection, sent } = open({ role });
      begin(connection);
      connection.close(1000);
      sent();
      const writer = connection.startMessage('binary');
      expect(connection.startMessage('text').kind).toBe('text');
      expect(writer.write(hex('01'))).toBe(false);
      expect(writer.end()).toBe(false);
      expect(thrownBy(() => writer.end())).toMatchObject({ code: 'WS_MISUSE_WRITER_ENDED' });
      expect(sent()).toEqual([]);
    }
  });

  it('what the trace hears of the last fragment comes after it', () => {
    let act: (() => unknown) | null = null;
    const answers: unknown[] = [];
    const { connection, sent } = open({
      role,
      onTrace: ({ direction, frame }) => {
        if (direction !== 'out' || frame?.fin !== true || act === null) return;
        const run = act;
        act = null;
        answers.push(run());
      },
    });
    const writer: MessageWriter = connection.startMessage('text');
    writer.write('a');
    act = () => writer.write('late');
    expect(writer.end('b')).toBe(true);
    act = () => connection.sendText('next');
    connection.sendText('c', { fin: false });
    connection.sendContinuation('d', true);
    expect(answers).toEqual([false, true]);
    expect(sent()).toEqual(["TEXT 'a' ...", "CONTINUATION 'b'", "TEXT 'c' ...", "CONTINUATION 'd'", "TEXT 'next'"]);
  });

  it('a message of bytes in fragments, whole ones between them', () => {
    const { connection, frames } = open({ role });
    for (const size of [0, 3, 17_000]) {
      connection.sendBinary(pattern(size), { fin: false });
      connection.ping(hex('01'));
      connection.sendContinuation(pattern(size, 1), false);
      connection.sendContinuation(pattern(size, 2), true);
      connection.sendBinary(pattern(size, 3));
    }
    const messages = sentMessages(frames());
    expect(messages.map(({ frames: count, payload }) => [count, payload.length])).toEqual(
      [0, 3, 17_000].flatMap((size) => [
        [3, 3 * size],
        [1, size],
      ]),
    );
    expect(connection.stats).toMatchObject({ messagesOut: 6, framesOut: 15, payloadOut: 4 * 17_003 });
  });
});

describe.each(roles)('prepared messages of a %s', (role) => {
  const passing: OutboundTransform = {
    begin: () => 0,
    push: (_input, start, end) => ({ consumed: end - start, status: 'need' }),
    cacheKey: null,
  };
  const ways: readonly (readonly [string, () => Partial<OpenOptions>, (payload: Uint8Array) => number])[] = [
    ['without extensions', () => ({}), (payload) => payload.length],
    ['with one that leaves it alone', () => ({ extensions: [extension('x', 4, identity, passing)] }), (payload) => payload.length],
    ['with one that doubles it', () => ({ extensions: [doubling()] }), (payload) => 2 * payload.length + 1],
    ['with one that doubles it alike for all', () => ({ extensions: [doubling({ cacheKey: 'x' })] }), (payload) => 2 * payload.length + 1],
  ];
  it.each(ways)('%s: the same each time, and the trace shows it', (_name, options, sizeOf) => {
    for (const size of [0, 5, 130, 16_384, 20_000, 70_000]) {
      const data = pattern(size);
      const message = prepareMessage(data);
      data.fill(0);
      const digests = new Set<string>();
      for (let count = 0; count < 3; count++) {
        const harness: Harness = open({ role, tracing: true, ...options() });
        for (let again = 0; again < 2; again++) {
          expect(harness.connection.sendPrepared(message)).toBe(true);
          const [frame] = drained(harness);
          const payload = frame?.payload as Uint8Array;
          expect(payload.length).toBe(sizeOf(new Uint8Array(size)));
          digests.add(digest(payload));
          expect(harness.trace.at(-1)?.frame).toMatchObject({ length: payload.length, preview: payload.slice(0, 125), opcode: 2 });
          expect(harness.connection.bufferedAmount).toBe(0);
        }
        expect(harness.connection.stats).toMatchObject({ messagesOut: 2, payloadOut: 2 * size, framesOut: 2 });
      }
      expect(digests.size).toBe(1);
    }
  });
  it('text', () => {
    const { connection, sent } = open({ role });
    const message = prepareMessage('héllo');
    expect(message).toMatchObject({ kind: 'text', size: 6 });
    connection.sendPrepared(message);
    expect(sent()).toEqual(["TEXT 'héllo'"]);
  });
});

describe.each(roles)('what waits for a transform of a %s', (role) => {
  it('is counted beside pongs and output, and an abort drops all of it', () => {
    const slow = doubling({ waits: true });
    const { connection, peer, receive } = open({ role, extensions: [slow] });
    const header = role === 'client' ? 6 : 2;
    connection.sendText('four');
    expect(connection.bufferedAmount).toBe(4);
    receive(peer.ping('abc'));
    expect(connection.bufferedAmount).toBe(4 + header + 3);
    connection.ping(utf8('de'));
    expect(connection.bufferedAmount).toBe(4 + header + 3 + header + 2);
    connection.sendBinary(pattern(10));
    expect(connection.bufferedAmount).toBe(4 + header + 3 + header + 2 + 10);
    connection.abort();
    expect(connection.bufferedAmount).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
    slow.release();
    connection.wake();
    expect(connection.bufferedAmount).toBe(0);
    expect(connection.takeOutput()).toEqual([]);
  });
  it('goes out in order once it is ready, the close frame last', () => {
    const slow = doubling({ waits: true });
    const { connection, frames } = open({ role, extensions: [slow] });
    connection.sendText('a');
    connection.sendBinary(hex('01'));
    connection.close(1000);
    expect(frames()).toEqual([]);
    expect(connection.transport).toBe('open');
    for (let count = 0; count < 3; count++) {
      slow.release();
      slow.ready();
    }
    expect(frames().map(({ header, payload }) => [header.opcode, payload.length])).toEqual([
      [1, 3],
      [2, 3],
      [8, 2],
    ]);
  });
});

describe.each(roles)('what the trace hears of a close frame, %s', (role) => {
  it.each<[string, (harness: Harness) => void, string]>([
    ['of our own', ({ connection }) => void connection.close(1000), 'CLOSE 1000'],
    ['that answers', ({ receive, peer }) => receive(peer.close(1001)), 'CLOSE 1001'],
    ['after a fault', ({ receive, peer }) => receive(peer.frame({ opcode: 3 })), 'CLOSE 1002'],
    ['after fail()', ({ connection }) => connection.fail(1008), 'CLOSE 1008'],
  ])('%s comes too late to send', (_name, act, expected) => {
    const answers: unknown[] = [];
    const writers: MessageWriter[] = [];
    const harness: Harness = open({
      role,
      onTrace: ({ direction, frame }) => {
        if (direction !== 'out' || frame?.opcode !== 8) return;
        const { connection } = harness;
        answers.push(connection.sendText('late'), connection.ping(), connection.close(), writers[0]?.write('late'));
        connection.fail(1011);
      },
    });
    writers.push(harness.connection.startMessage('text'));
    writers[0]?.write('a');
    act(harness);
    expect(answers).toEqual([false, false, false, false]);
    const sent = harness.sent();
    expect(sent.length).toBe(2);
    expect(sent[1]?.startsWith(expected)).toBe(true);
  });
});
