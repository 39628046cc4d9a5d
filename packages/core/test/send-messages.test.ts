/** Messages in fragments, by writers and prepared once (RFC 6455 section 5.4), and every way to misuse a sending method. */
import { type Connection, prepareMessage } from '@ferrywire/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, hex, open, pattern, utf8 } from './connection-helpers.ts';
import { digest, roles, sentMessages, type Thrown, thrownBy, wrong } from './sending-helpers.ts';

describe.each(roles)('fragments, %s', (role) => {
  it('are frames as they were sent', () => {
    const { connection, sent } = open({ role });
    expect(connection.sendText('a', { fin: false })).toBe(true);
    expect(connection.sendContinuation('b', false)).toBe(true);
    expect(connection.sendContinuation('', false)).toBe(true);
    expect(connection.sendContinuation(utf8('c'), true)).toBe(true);
    expect(connection.send(hex('01'), { fin: false })).toBe(true);
    expect(connection.sendContinuation(hex('02'), true)).toBe(true);
    expect(connection.sendText('whole', { fin: true })).toBe(true);
    expect(sent()).toEqual([
      "TEXT 'a' ...",
      "CONTINUATION 'b' ...",
      'CONTINUATION ...',
      "CONTINUATION 'c'",
      'BINARY 01 ...',
      "CONTINUATION '\u0002'",
      "TEXT 'whole'",
    ]);
  });

  it('let control frames between them', () => {
    const { connection, peer, receive, sent } = open({ role });
    connection.sendText('a', { fin: false });
    connection.ping(utf8('p'));
    connection.pong(utf8('q'));
    connection.sendContinuation('b', false);
    sent();
    receive(peer.ping('r'));
    connection.sendContinuation('c', true);
    expect([...sent()].sort()).toEqual(["CONTINUATION 'c'", "PONG 'r'"]);
  });

  it('a close frame may stand between them, and nothing follows it', () => {
    const { connection, sent } = open({ role });
    connection.sendText('a', { fin: false });
    expect(connection.close(1001, 'leaving')).toBe(true);
    expect(connection.sendContinuation('b', true)).toBe(false);
    expect(sent()).toEqual(["TEXT 'a' ...", "CLOSE 1001 'leaving'"]);
  });
});

describe.each(roles)('MessageWriter, %s', (role) => {
  it('writes one message of its kind', () => {
    const { connection, frames } = open({ role });
    const text = connection.startMessage('text');
    expect(text.kind).toBe('text');
    expect([text.write('a'), text.write(''), text.write(utf8('b')), text.end('c')]).toEqual([true, true, true, true]);
    const binary = connection.startMessage('binary');
    expect(binary.kind).toBe('binary');
    expect([binary.write(hex('01')), binary.write(pattern(20_000)), binary.end()]).toEqual([true, true, true]);
    expect(sentMessages(frames())).toMatchObject([
      { kind: 'text', payload: utf8('abc') },
      { kind: 'binary', payload: concat(hex('01'), pattern(20_000)) },
    ]);
    expect(connection.stats.messagesOut).toBe(2);
  });

  it('what was written goes out before the end is known', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('text');
    writer.write('first');
    expect(frames().map(({ header, payload }) => [header.opcode, header.fin, payload])).toEqual([[1, false, utf8('first')]]);
    writer.write('second');
    expect(frames().map(({ header, payload }) => [header.opcode, header.fin, payload])).toEqual([[0, false, utf8('second')]]);
    writer.end();
    expect(frames().map(({ header, payload }) => [header.opcode, header.fin, payload.length])).toEqual([[0, true, 0]]);
  });

  it.each([
    ['end()', undefined, ''],
    ["end('x')", 'x', 'x'],
  ])('a message of one %s', (_name, data, expected) => {
    const { connection, frames } = open({ role });
    expect(connection.startMessage('text').end(data)).toBe(true);
    expect(sentMessages(frames())).toMatchObject([{ kind: 'text', payload: utf8(expected) }]);
    expect(connection.sendText('next')).toBe(true);
  });

  it('started after the end of the connection says false and throws nothing', () => {
    const { connection, output } = open({ role });
    connection.close(1000);
    output();
    const writer = connection.startMessage('binary');
    expect([writer.write(hex('01')), writer.end()]).toEqual([false, false]);
    expect(output().length).toBe(0);
  });

  it('any pieces are one message', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), fc.boolean(), (pieces, endEmpty) => {
        const { connection, frames } = open({ role });
        const writer = connection.startMessage('binary');
        for (const piece of endEmpty ? pieces : pieces.slice(0, -1)) writer.write(piece);
        const last = pieces.at(-1);
        if (endEmpty || last === undefined) writer.end();
        else writer.end(last);
        expect(sentMessages(frames())).toMatchObject([{ kind: 'binary', payload: concat(...pieces) }]);
      }),
      { numRuns: 100 },
    );
  });
});

describe('prepareMessage', () => {
  it('knows kind and size in bytes', () => {
    expect(prepareMessage('é😀')).toMatchObject({ kind: 'text', size: 6 });
    expect(prepareMessage('\ud800')).toMatchObject({ kind: 'text', size: 3 });
    expect(prepareMessage('')).toMatchObject({ kind: 'text', size: 0 });
    expect(prepareMessage(pattern(70_000))).toMatchObject({ kind: 'binary', size: 70_000 });
  });

  it.each([0, 1, 125, 126, 16_383, 16_384, 65_535, 65_536, 300_000])(
    '%i bytes: the bytes of a plain send, on any connection, any number of times',
    (size) => {
      const data = pattern(size);
      const prepared = prepareMessage(data);
      const text = prepareMessage('a'.repeat(size));
      for (const role of roles) {
        for (let i = 0; i < 3; i++) {
          const plain = open({ role });
          plain.connection.sendBinary(data);
          plain.connection.sendText('a'.repeat(size));
          const { connection, output } = open({ role });
          expect(connection.sendPrepared(prepared)).toBe(true);
          expect(connection.sendPrepared(text)).toBe(true);
          expect(connection.bufferedAmount).toBe(plain.connection.bufferedAmount);
          expect(Buffer.compare(output(), plain.output())).toBe(0);
        }
      }
      expect(digest(data)).toBe(digest(pattern(size)));
    },
  );

  it('is masked with a fresh key each time', () => {
    const prepared = prepareMessage('same');
    const { connection, frames } = open({ role: 'client' });
    for (let i = 0; i < 50; i++) connection.sendPrepared(prepared);
    const all = frames();
    expect(new Set(all.map(({ header }) => header.maskKey)).size).toBe(50);
    expect(new Set(all.map(({ payload }) => Buffer.from(payload).toString()))).toEqual(new Set(['same']));
  });

  it('one for many: a slow connection sees what the quick ones saw', () => {
    const prepared = prepareMessage(pattern(40_000));
    const slow = open({ role: 'server' });
    slow.connection.sendPrepared(prepared);
    for (let i = 0; i < 5; i++) {
      for (const role of roles) {
        const quick = open({ role });
        quick.connection.sendPrepared(prepared);
        expect(quick.frames().map(({ payload }) => digest(payload))).toEqual([digest(pattern(40_000))]);
      }
    }
    expect(slow.frames().map(({ payload }) => digest(payload))).toEqual([digest(pattern(40_000))]);
  });

  it('false after the end', () => {
    const { connection } = open({ role: 'server' });
    connection.abort();
    expect(connection.sendPrepared(prepareMessage('late'))).toBe(false);
  });

  it('counts as a message', () => {
    const { connection } = open({ role: 'server' });
    connection.sendPrepared(prepareMessage('four'));
    expect(connection.stats).toMatchObject({ messagesOut: 1, framesOut: 1, payloadOut: 4 });
  });

  it.each([5, null, undefined, {}, [1], new ArrayBuffer(3)])('takes text and bytes, not %j', (data) => {
    expect(thrownBy(() => prepareMessage(wrong(data)))).toMatchObject({ name: 'TypeError', message: expect.stringContaining('data') });
  });
});

describe.each(roles)('misuse throws at once, sends nothing and breaks nothing, %s', (role) => {
  const misuse = (code: string): Partial<Thrown> => ({ code, message: expect.stringMatching(/.{10,}/) });
  function expectWhole(connection: Connection): void {
    expect(connection.state).toBe('open');
    expect(connection.transport).toBe('open');
  }

  const dataSends: Readonly<Record<string, (connection: Connection) => unknown>> = {
    sendText: (connection) => connection.sendText('x'),
    'sendText, fin false': (connection) => connection.sendText('x', { fin: false }),
    sendBinary: (connection) => connection.sendBinary(hex('00')),
    'large sendBinary': (connection) => connection.sendBinary(new Uint8Array(20_000)),
    send: (connection) => connection.send('x'),
    sendPrepared: (connection) => connection.sendPrepared(prepareMessage('x')),
    startMessage: (connection) => connection.startMessage('text'),
  };
  it.each(Object.entries(dataSends))('WS_MISUSE_MESSAGE_OPEN: %s within fragments and within a writer', (_name, send) => {
    const { connection, sent, frames } = open({ role });
    connection.sendText('a', { fin: false });
    expect(thrownBy(() => send(connection))).toMatchObject(misuse('WS_MISUSE_MESSAGE_OPEN'));
    connection.sendContinuation('b', true);
    expect(sent()).toEqual(["TEXT 'a' ...", "CONTINUATION 'b'"]);

    const writer = connection.startMessage('text');
    expect(thrownBy(() => send(connection))).toMatchObject(misuse('WS_MISUSE_MESSAGE_OPEN'));
    writer.write('c');
    expect(thrownBy(() => send(connection))).toMatchObject(misuse('WS_MISUSE_MESSAGE_OPEN'));
    writer.end('d');
    expect(sentMessages(frames())).toMatchObject([{ payload: utf8('cd') }]);
    expectWhole(connection);
  });

  it('WS_MISUSE_NO_MESSAGE: a continuation of nothing', () => {
    const { connection, sent } = open({ role });
    expect(thrownBy(() => connection.sendContinuation('x', true))).toMatchObject(misuse('WS_MISUSE_NO_MESSAGE'));
    expect(thrownBy(() => connection.sendContinuation('x', false))).toMatchObject(misuse('WS_MISUSE_NO_MESSAGE'));
    connection.sendText('a', { fin: false });
    connection.sendContinuation('b', true);
    expect(thrownBy(() => connection.sendContinuation('c', true))).toMatchObject(misuse('WS_MISUSE_NO_MESSAGE'));
    expect(sent()).toEqual(["TEXT 'a' ...", "CONTINUATION 'b'"]);
    expectWhole(connection);
  });

  it('a continuation into a writer is refused', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('text');
    writer.write('a');
    expect(thrownBy(() => connection.sendContinuation('x', true)).code).toMatch(/^WS_MISUSE_(MESSAGE_OPEN|NO_MESSAGE)$/);
    writer.end('b');
    expect(sentMessages(frames())).toMatchObject([{ payload: utf8('ab') }]);
  });

  it('WS_MISUSE_WRITER_ENDED', () => {
    const { connection, frames } = open({ role });
    const writer = connection.startMessage('text');
    writer.end('a');
    expect(thrownBy(() => writer.write('b'))).toMatchObject(misuse('WS_MISUSE_WRITER_ENDED'));
    expect(thrownBy(() => writer.end())).toMatchObject(misuse('WS_MISUSE_WRITER_ENDED'));
    const second = connection.startMessage('text');
    expect(thrownBy(() => writer.write('b'))).toMatchObject(misuse('WS_MISUSE_WRITER_ENDED'));
    second.end('c');
    expect(sentMessages(frames()).map(({ payload }) => payload)).toEqual([utf8('a'), utf8('c')]);
    expectWhole(connection);
  });

  const wrongData: readonly unknown[] = [
    5,
    null,
    undefined,
    {},
    [1, 2],
    true,
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
    new Uint16Array(2),
  ];
  const takers: readonly [name: string, argument: string, call: (connection: Connection, value: unknown) => unknown][] = [
    ['sendText', 'data', (connection, value) => connection.sendText(wrong(value))],
    ['sendBinary', 'data', (connection, value) => connection.sendBinary(wrong(value))],
    ['send', 'data', (connection, value) => connection.send(wrong(value))],
    ['sendContinuation', 'data', (connection, value) => connection.sendContinuation(wrong(value), true)],
    ['writer.write', 'data', (connection, value) => connection.startMessage('text').write(wrong(value))],
    ['sendPrepared', 'message', (connection, value) => connection.sendPrepared(wrong(value))],
    ['startMessage', 'kind', (connection, value) => connection.startMessage(wrong(value))],
  ];
  it.each(takers)('%s: a TypeError that names `%s`', (name, argument, call) => {
    for (const value of wrongData) {
      const { connection, sent } = open({ role });
      if (name === 'sendContinuation') connection.sendText('a', { fin: false });
      expect(thrownBy(() => call(connection, value))).toMatchObject({ name: 'TypeError', message: expect.stringContaining(argument) });
      expect(sent()).toEqual(name === 'sendContinuation' ? ["TEXT 'a' ..."] : []);
      expectWhole(connection);
    }
  });

  it('sendBinary takes no string, startMessage no other kind', () => {
    const { connection } = open({ role });
    expect(thrownBy(() => connection.sendBinary(wrong('x')))).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('data'),
    });
    expect(thrownBy(() => connection.startMessage(wrong('blob')))).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('kind'),
    });
  });

  it.each(['ping', 'pong'] as const)('%s: the payload is bytes, 125 at most', (method) => {
    const { connection, sent } = open({ role });
    for (const size of [126, 127, 65_536]) {
      expect(thrownBy(() => connection[method](new Uint8Array(size)))).toMatchObject({
        name: 'RangeError',
        message: expect.stringMatching(/payload.*125/),
      });
    }
    for (const value of ['text', 5, null, {}, new ArrayBuffer(2)]) {
      expect(thrownBy(() => connection[method](wrong(value)))).toMatchObject({
        name: 'TypeError',
        message: expect.stringContaining('payload'),
      });
    }
    expect(sent()).toEqual([]);
    expectWhole(connection);
  });
});

it('receiveData from within a callback throws WS_MISUSE_REENTRANT, and sending there is fine', () => {
  const codes: unknown[] = [];
  const harness = open({
    role: 'server',
    hooks: {
      onText() {
        codes.push(thrownBy(() => harness.connection.receiveData(harness.peer.text('again'))).code);
        harness.connection.sendText('reply');
      },
    },
  });
  harness.receive(harness.peer.text('one'));
  harness.receive(harness.peer.text('two'));
  expect(codes).toEqual(['WS_MISUSE_REENTRANT', 'WS_MISUSE_REENTRANT']);
  expect(harness.of('text').map(({ data }) => data)).toEqual(['one', 'two']);
  expect(harness.sent()).toEqual(["TEXT 'reply'", "TEXT 'reply'"]);
});
