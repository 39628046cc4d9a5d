/** Extensions on the way out (RFC 6455 section 9): RSV bits, steps, waiting transforms, prepared messages, the end of their life. */
import { prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, utf8 } from './connection-helpers.ts';
import { digest, doubled, doubling, drained, roles, sentMessages, thrownBy } from './sending-helpers.ts';

describe.each(roles)('an outbound transform, %s', (role) => {
  it.each([4, 2, 1])('sets its RSV bit %i on the first frame of a message only', (rsv) => {
    const { connection, frames } = open({ role, extensions: [doubling({ rsv })] });
    connection.sendText('ab');
    connection.sendText('a', { fin: false });
    connection.sendContinuation('b', false);
    connection.sendContinuation('c', true);
    const writer = connection.startMessage('binary');
    writer.write(hex('01'));
    writer.end(hex('02'));
    connection.ping(hex('00'));
    connection.close(1000);
    const all = frames();
    expect(all.filter(({ header }) => header.rsv !== 0).map(({ header }) => header.opcode)).toEqual([1, 1, 2]);
    // Throws for a bit anywhere else.
    expect(sentMessages(all)).toMatchObject([
      { kind: 'text', rsv, payload: doubled(utf8('ab')) },
      { kind: 'text', rsv, payload: doubled(utf8('abc')) },
      { kind: 'binary', rsv, payload: doubled(hex('01 02')) },
    ]);
  });

  it('is told kind, size and the wish of the caller', () => {
    const extension = doubling();
    const { connection } = open({ role, extensions: [extension] });
    connection.sendText('é');
    connection.sendBinary(pattern(300), { compress: true });
    connection.send('ab', { compress: false });
    connection.sendText('a', { fin: false, compress: true });
    connection.sendContinuation('b', true);
    const writer = connection.startMessage('binary', { compress: false });
    writer.write(hex('00'));
    writer.end(hex('00'));
    // All of it in one piece: the size is known.
    connection.startMessage('text').end('abc');
    expect(extension.begun).toEqual([
      { kind: 'text', size: 2, compress: undefined },
      { kind: 'binary', size: 300, compress: true },
      { kind: 'text', size: 2, compress: false },
      { kind: 'text', size: null, compress: true },
      { kind: 'binary', size: null, compress: false },
      { kind: 'text', size: 3, compress: undefined },
    ]);
    expect(extension.roles).toEqual([role]);
  });

  it('may leave a message as it is', () => {
    const extension = doubling({ wants: (_kind, size, compress) => compress ?? (size ?? 0) > 3 });
    const { connection, frames } = open({ role, extensions: [extension] });
    connection.sendText('abc');
    connection.sendText('abcd');
    connection.sendText('abcd', { compress: false });
    connection.sendText('a', { compress: true });
    connection.sendText('a', { fin: false });
    connection.sendContinuation('b', true);
    expect(sentMessages(frames()).map(({ rsv, payload }) => [rsv, payload])).toEqual([
      [0, utf8('abc')],
      [4, doubled(utf8('abcd'))],
      [0, utf8('abcd')],
      [4, doubled(utf8('a'))],
      [0, utf8('ab')],
    ]);
  });

  it.each([1, 7, 1000, 1e9])('works in steps of %i bytes: every byte, once, in order', (step) => {
    const harness = open({ role, extensions: [doubling({ step })] });
    const sizes = [0, 1, 2, 4095, 16_383, 16_384, 65_536, ...(step >= 1000 ? [5_000_000] : [])];
    for (const size of sizes) {
      const payload = pattern(size);
      harness.connection.sendBinary(payload);
      expect(digest(payload)).toBe(digest(pattern(size)));
      const [message, ...more] = sentMessages(drained(harness));
      expect(more).toEqual([]);
      expect(Buffer.compare(message?.payload ?? hex(''), doubled(payload))).toBe(0);
    }
  });

  it('transforms each fragment as it comes', () => {
    const harness = open({ role, extensions: [doubling({ step: 5 })] });
    const pieces = [pattern(3), pattern(0), pattern(40_000, 1), pattern(9, 2)];
    const writer = harness.connection.startMessage('binary');
    for (const piece of pieces) writer.write(piece);
    writer.end(pattern(100_000, 3));
    expect(
      sentMessages(drained(harness)).map(({ payload }) => Buffer.compare(payload, doubled(concat(...pieces, pattern(100_000, 3))))),
    ).toEqual([0]);
  });

  it('joins a surrogate pair before it transforms', () => {
    const { connection, frames } = open({ role, extensions: [doubling()] });
    const writer = connection.startMessage('text');
    writer.write('\ud83d');
    writer.end('\ude00');
    expect(sentMessages(frames()).map(({ payload }) => payload)).toEqual([doubled(utf8('😀'))]);
  });

  it('counts what the application sent, and what is on the wire', () => {
    const { connection, output } = open({ role, extensions: [doubling()] });
    connection.sendText('abc');
    const wire = output().length;
    expect(wire).toBe(2 + 7 + (role === 'client' ? 4 : 0));
    expect(connection.stats).toMatchObject({ payloadOut: 3, messagesOut: 1, bytesOut: wire });
  });

  it('with transfer or without, caller memory keeps its bytes: what is masked is what was transformed', () => {
    const { connection, frames } = open({ role, extensions: [doubling()] });
    const payload = pattern(20_000);
    connection.sendBinary(payload);
    expect(digest(payload)).toBe(digest(pattern(20_000)));
    connection.sendBinary(Uint8Array.from(payload), { transfer: true });
    expect(sentMessages(frames()).map((message) => message.payload)).toEqual([doubled(pattern(20_000)), doubled(pattern(20_000))]);
  });
});

describe.each(roles)('the step budget, %s', (role) => {
  it('puts off what is left of a large message: a deadline is due at once, and control frames need not wait', () => {
    const harness = open({ role, extensions: [doubling()], timeouts: { keepalive: 0, closing: 0 } });
    const { connection, peer, receive, sent } = harness;
    expect(connection.nextTimeout()).toBe(null);
    connection.sendBinary(pattern(8_000_000));
    connection.sendText('behind');
    expect(connection.nextTimeout()).toBeLessThanOrEqual(harness.now);
    expect(connection.bufferedAmount).toBeGreaterThan(8_000_000);
    connection.ping(utf8('p'));
    receive(peer.ping('q'));
    expect([...sent()].sort()).toEqual(["PING 'p'", "PONG 'q'"]);
    let turns = 0;
    for (; (connection.nextTimeout() ?? Number.POSITIVE_INFINITY) <= harness.now && turns < 1000; turns++) connection.handleTimeout();
    expect(turns).toBeGreaterThan(2);
    expect(connection.nextTimeout()).toBe(null);
    expect(sentMessages(harness.frames()).map(({ payload }) => digest(payload))).toEqual(
      [pattern(8_000_000), utf8('behind')].map((payload) => digest(doubled(payload))),
    );
    expect(connection.bufferedAmount).toBe(0);
  });

  it('holds no closing handshake up for ever', () => {
    const harness = open({ role, extensions: [doubling()] });
    harness.connection.sendBinary(pattern(8_000_000));
    harness.connection.close(1000);
    const frames = drained(harness);
    expect(frames.map(({ header }) => header.opcode)).toEqual([2, 8]);
  });
});

describe.each(roles)('two transforms, %s', (role) => {
  it('apply in the order of the extensions, with both bits', () => {
    const second = doubling({ name: 'x-second', rsv: 2, step: 3 });
    const { connection, frames } = open({ role, extensions: [doubling({ rsv: 4 }), second] });
    connection.sendText('ab');
    connection.sendBinary(pattern(9000));
    connection.sendText('x', { fin: false });
    connection.sendContinuation('y', true);
    expect(sentMessages(frames()).map(({ rsv, payload }) => [rsv, payload])).toEqual([
      [6, doubled(doubled(utf8('ab')))],
      [6, doubled(doubled(pattern(9000)))],
      [6, doubled(doubled(utf8('xy')))],
    ]);
  });

  it('either may stand aside', () => {
    const first = doubling({ rsv: 4, wants: (kind) => kind === 'text' });
    const second = doubling({ name: 'x-second', rsv: 1, wants: (kind) => kind === 'binary' });
    const { connection, frames } = open({ role, extensions: [first, second] });
    connection.sendText('ab');
    connection.sendBinary(utf8('ab'));
    expect(sentMessages(frames()).map(({ rsv, payload }) => [rsv, payload])).toEqual([
      [4, doubled(utf8('ab'))],
      [1, doubled(utf8('ab'))],
    ]);
  });

  it('that want the same bit are refused', () => {
    expect(thrownBy(() => open({ role, extensions: [doubling({ rsv: 4 }), doubling({ name: 'x-other', rsv: 6 })] }))).toMatchObject({
      name: expect.stringMatching(/TypeError|RangeError/),
      message: expect.stringContaining('extensions'),
    });
  });
});

describe.each(roles)('a transform that waits, %s', (role) => {
  it.each(['wake', 'ready'] as const)('goes on at %s(), and everything keeps its order', (how) => {
    const extension = doubling({ waits: true, wants: (kind) => kind === 'binary' });
    const harness = open({ role, extensions: [extension] });
    const { connection, frames, output } = harness;
    connection.sendText('before');
    expect(connection.sendBinary(utf8('one'))).toBe(true);
    expect(connection.sendText('between')).toBe(true);
    expect(connection.sendBinary(utf8('two'))).toBe(true);
    const early = frames();
    expect(early.map(({ payload }) => payload)).toEqual([utf8('before')]);
    // Waking too early changes nothing.
    connection.wake();
    expect(output().length).toBe(0);

    const all: ReturnType<typeof frames> = [];
    for (let turn = 0; turn < 2; turn++) {
      extension.release();
      if (how === 'wake') connection.wake();
      else extension.ready();
      // Whether `ready` goes on by itself or makes a deadline due is the core's own affair.
      harness.advance(0);
      all.push(...frames());
    }
    expect(sentMessages(all).map(({ kind, payload }) => [kind, payload])).toEqual([
      ['binary', doubled(utf8('one'))],
      ['text', utf8('between')],
      ['binary', doubled(utf8('two'))],
    ]);
  });

  it('counts in bufferedAmount, and control frames need not wait', () => {
    const extension = doubling({ waits: true });
    const { connection, peer, receive, sent, frames } = open({ role, extensions: [extension] });
    connection.sendBinary(pattern(5000));
    expect(connection.bufferedAmount).toBeGreaterThanOrEqual(5000);
    connection.ping(utf8('p'));
    receive(peer.ping('q'));
    expect([...sent()].sort()).toEqual(["PING 'p'", "PONG 'q'"]);
    extension.release();
    connection.wake();
    expect(sentMessages(frames()).map(({ payload }) => payload)).toEqual([doubled(pattern(5000))]);
    expect(connection.bufferedAmount).toBe(0);
  });

  it('the close frame comes after the messages that were accepted', () => {
    const extension = doubling({ waits: true });
    const { connection, sent } = open({ role, extensions: [extension] });
    connection.sendText('a');
    expect(connection.close(1000)).toBe(true);
    expect(connection.sendText('late')).toBe(false);
    const lines = sent();
    extension.release();
    connection.wake();
    lines.push(...sent());
    expect(lines.length).toBe(2);
    expect(lines[0]).toMatch(/^TEXT RSV4 6161ee/);
    expect(lines[1]).toBe('CLOSE 1000');
  });

  it.each(['a violation of the peer', 'EOF'])('%s drops what waits, and the close frame that stood behind it still goes out', (ending) => {
    const harness = open({ role, extensions: [doubling({ waits: true })] });
    const { connection, peer, receive, sent } = harness;
    connection.sendText('never');
    connection.close(1000, 'bye');
    if (ending === 'EOF') connection.receiveEof();
    else receive(peer.frame({ opcode: 3 }));
    expect(connection.transport).toBe(ending === 'EOF' ? 'done' : 'end');
    expect(sent()).toEqual(["CLOSE 1000 'bye'"]);
    connection.wake();
    expect(sent()).toEqual([]);
    connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: false, sent: { code: 1000 } });
  });

  it('the server does not end the transport before its close frame is out', () => {
    const extension = doubling({ waits: true });
    const { connection, peer, receive, sent } = open({ role, extensions: [extension] });
    connection.sendText('a');
    receive(peer.close(1000));
    expect(connection.transport).toBe('open');
    expect(sent()).toEqual([]);
    extension.release();
    connection.wake();
    expect(sent().length).toBe(2);
    expect(connection.transport).toBe(role === 'server' ? 'end' : 'open');
  });

  it('after the end, waking does nothing', () => {
    const extension = doubling({ waits: true });
    const { connection, output, seen } = open({ role, extensions: [extension] });
    connection.sendText('a');
    connection.abort();
    const events = seen.length;
    extension.release();
    connection.wake();
    extension.ready();
    expect(output().length).toBe(0);
    expect(seen.length).toBe(events);
    expect(extension.disposals).toBe(1);
  });
});

describe('a prepared message', () => {
  it('is transformed once for equal keys', () => {
    const extensions = Array.from({ length: 5 }, () => doubling({ cacheKey: 'same' }));
    const prepared = prepareMessage(pattern(3000));
    const results = extensions.map((extension) => {
      const { connection, frames } = open({ role: 'server', extensions: [extension] });
      expect(connection.sendPrepared(prepared)).toBe(true);
      return sentMessages(frames());
    });
    for (const messages of results) expect(messages).toMatchObject([{ kind: 'binary', rsv: 4, payload: doubled(pattern(3000)) }]);
    expect(extensions.filter(({ pushes }) => pushes > 0).length).toBe(1);
  });

  it('is transformed again for another key, and never mixed up', () => {
    const prepared = prepareMessage('text');
    const doubler = (cacheKey: string | null) => doubling({ cacheKey });
    const plain = doubling({ cacheKey: 'plain', wants: () => false });
    const keyed = [doubler('a'), doubler('b'), plain, doubler('a'), doubler(null), doubler(null), plain];
    const payloads = keyed.map((extension) => {
      const { connection, frames } = open({ role: 'server', extensions: [extension] });
      connection.sendPrepared(prepared);
      return sentMessages(frames())[0]?.payload;
    });
    const twice = doubled(utf8('text'));
    expect(payloads).toEqual([twice, twice, utf8('text'), twice, twice, twice, utf8('text')]);
    expect(keyed.map(({ pushes }) => pushes > 0)).toEqual([true, true, false, false, true, true, false]);
  });

  it('on a client is transformed all the same and masked with a fresh key', () => {
    const extensions = Array.from({ length: 3 }, () => doubling({ cacheKey: 'same' }));
    const prepared = prepareMessage('text');
    for (const extension of extensions) {
      const { connection, frames } = open({ role: 'client', extensions: [extension] });
      connection.sendPrepared(prepared);
      connection.sendPrepared(prepared);
      const all = frames();
      expect(sentMessages(all).map(({ payload }) => payload)).toEqual([doubled(utf8('text')), doubled(utf8('text'))]);
      expect(all[0]?.header.maskKey).not.toBe(all[1]?.header.maskKey);
    }
  });

  it('with context kept is transformed in the order of the connection', () => {
    const extension = doubling({ cacheKey: null });
    const { connection, frames } = open({ role: 'server', extensions: [extension] });
    const prepared = prepareMessage('p');
    connection.sendText('a');
    connection.sendPrepared(prepared);
    connection.sendText('b');
    connection.sendPrepared(prepared);
    expect(sentMessages(frames()).map(({ payload }) => payload)).toEqual(['a', 'p', 'b', 'p'].map((text) => doubled(utf8(text))));
    expect(extension.begun.map(({ size }) => size)).toEqual([1, 1, 1, 1]);
  });
});

describe.each(roles)('dispose, %s', (role) => {
  const ends: Readonly<Record<string, (harness: ReturnType<typeof open>) => void>> = {
    'EOF of an open connection': ({ connection }) => connection.receiveEof(),
    'a reset': ({ connection }) => connection.receiveError(new Error('reset')),
    'abort()': ({ connection }) => connection.abort(),
    'a closing handshake': ({ connection, peer, receive }) => {
      connection.close(1000);
      receive(peer.close(1000));
      connection.receiveEof();
    },
    'a violation': ({ connection, peer, receive }) => {
      receive(peer.frame({ opcode: 5 }));
      connection.receiveEof();
    },
    'the closing deadline': (harness) => {
      harness.connection.close(1000);
      harness.output();
      harness.advance(10_000);
    },
  };
  it.each(Object.entries(ends))('is called once: %s', (_name, end) => {
    const extensions = [doubling({ rsv: 4 }), doubling({ name: 'x-second', rsv: 2 })];
    const harness = open({ role, extensions });
    expect(harness.connection.extensions).toEqual(extensions);
    harness.connection.sendText('a');
    expect(extensions.map(({ disposals }) => disposals)).toEqual([0, 0]);
    end(harness);
    expect(harness.ended).toBe(true);
    harness.connection.receiveEof();
    harness.connection.abort();
    harness.connection.receiveError(new Error('late'));
    harness.advance(100_000);
    harness.output();
    expect(extensions.map(({ disposals }) => disposals)).toEqual([1, 1]);
  });

  it('is called once even when a sink throws at the end', () => {
    const extension = doubling();
    const { connection } = open({
      role,
      extensions: [extension],
      hooks: {
        onEnd() {
          throw new Error('from the application');
        },
      },
    });
    expect(() => connection.receiveEof()).toThrow('from the application');
    connection.abort();
    expect(extension.disposals).toBe(1);
  });

  it.each(['receiveEof', 'abort'] as const)('that throws does not keep others from theirs, and its error arrives: %s', (how) => {
    const disposed: string[] = [];
    const throwing = (name: string, rsv: number, throws: boolean) => ({
      ...doubling({ name, rsv }),
      dispose() {
        disposed.push(name);
        if (throws) throw new Error(`dispose ${name}`);
      },
    });
    const harness = open({ role, extensions: [throwing('a', 4, true), throwing('b', 2, false), throwing('c', 1, true)] });
    expect(() => harness.connection[how]()).toThrow('dispose a');
    expect(disposed).toEqual(['a', 'b', 'c']);
    expect(harness.ended).toBe(true);
    harness.connection.abort();
    harness.advance(100_000);
    expect(disposed).toHaveLength(3);
    expect(harness.of('end')).toHaveLength(1);
    const only = open({ role, extensions: [throwing('d', 4, false), throwing('e', 2, true)] });
    expect(() => only.connection[how]()).toThrow('dispose e');
  });
});
