/**
 * Extensions that fail: they throw, or never answer. The error reaches the caller, nothing half done goes out or comes in, and the connection
 * ends as any other: a close frame, one `end` event, and a deadline for both.
 */
import { type Extension, type InboundTransform, type OutboundTransform, prepareMessage } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { type Harness, type OpenOptions, open, pattern, utf8 } from './connection-helpers.ts';
import { extension, identity, message } from './extension-helpers.ts';
import { doubled, doubling, roles, sentMessages, thrownBy } from './sending-helpers.ts';

const QUIET = { keepalive: 0 };
const FAILED = { code: 'WS_FAILED_LOCALLY', closeCode: 1011, message: 'an extension failed' };
const boom = (): never => {
  throw new Error('boom');
};
/** Has failed, has said so to the peer, and ends with the peer's end or with the deadline. */
function expectFailed(harness: Harness, how: 'eof' | 'error' | 'deadline', pulls = false): void {
  const { connection } = harness;
  const pull = (): void => (pulls ? harness.pull() : undefined);
  expect([connection.state, connection.transport, connection.send('more'), connection.close(1000)]).toEqual([
    'closing',
    'end',
    false,
    false,
  ]);
  expect(harness.sent()).toEqual(["CLOSE 1011 'an extension failed'"]);
  expect(connection.bufferedAmount).toBe(0);
  expect(harness.ended).toBe(false);
  expect(connection.nextTimeout()).toBe(harness.now + 10_000);
  if (how === 'eof') connection.receiveEof();
  else if (how === 'error') connection.receiveError(new Error('reset'));
  else harness.advance(10_000);
  pull();
  expect(harness.end).toMatchObject({ clean: false, initiator: 'local', sent: { code: 1011 }, cause: FAILED });
  expect([connection.state, connection.nextTimeout(), connection.wantsRead]).toEqual(['closed', null, false]);
  harness.advance(100_000);
  connection.abort();
  pull();
  expect(harness.of('end')).toHaveLength(1);
}

describe.each(roles)('%s: a received message whose transform throws', (role) => {
  const faults: Readonly<Record<string, (inner: InboundTransform) => Partial<InboundTransform>>> = {
    'where it begins': () => ({ begin: (_kind, rsv) => rsv !== 0 && boom() }),
    'at once': () => ({ push: boom }),
    'after some of it': (inner) => ({
      push(input, start, end, out) {
        if (start < end && input[start] === 0x21) boom();
        return inner.push(input, start, Math.min(end, start + 1), out);
      },
    }),
    'at its end': () => ({ finish: boom }),
    'since it wrote too much': () => ({
      push(_input, _start, _end, out) {
        out.write(new Uint8Array(out.room + 1), 0, out.room + 1);
        return boom();
      },
    }),
  };
  for (const [when, fault] of Object.entries(faults)) {
    it.each(['eof', 'error', 'deadline'] as const)(`${when}: fails the connection, which ends by %s`, (how) => {
      for (const mode of ['push', 'pull'] as const) {
        for (const delivery of ['message', 'chunk', 'span'] as const) {
          const way: OpenOptions = { role, mode, delivery, timeouts: QUIET };
          const inner = identity();
          const bad = extension('bad', 4, () => ({ ...inner, ...fault(inner) }));
          const harness = open({ ...way, extensions: [bad, extension('other', 2, identity)] });
          const { connection, peer, receive } = harness;
          receive(peer.text('before'));
          // Pulls as it goes on, and so may throw from there.
          const fails = (): void => receive(message(peer, 1, 4, utf8('he'), utf8('!llo')));
          expect(thrownBy(fails).message).toMatch(/boom|out\.room/);
          expect(bad.calls.filter((call) => call.startsWith('begin')).length).toBeLessThanOrEqual(2);
          // What comes behind it is not read.
          receive(peer.text('behind'), peer.close(1000));
          expect(connection.stats.messagesIn).toBe(1);
          expect(connection.wantsRead).toBe(true);
          expectFailed(harness, how, mode === 'pull');
          expect(bad.disposed).toBe(1);
        }
      }
    });
  }
  it('in a later turn: fails it too', () => {
    let calls = 0;
    const inner = identity();
    let wake = (): void => undefined;
    const late = extension('late', 4, (ready) => {
      wake = ready;
      return { ...inner, push: () => (calls++ === 0 ? { consumed: 0, status: 'pending' } : boom()) };
    });
    const harness = open({ role, extensions: [late], timeouts: QUIET });
    harness.receive(message(harness.peer, 2, 4, pattern(100)));
    expect(() => wake()).toThrow('boom');
    expectFailed(harness, 'eof');
  });
});

describe.each(roles)('%s: a message to be sent whose transform throws', (role) => {
  const sending = (outbound: Partial<OutboundTransform>): Extension =>
    extension('bad', 4, identity, { ...doubling().outbound(role, () => undefined), begin: () => 4, ...outbound });

  it.each([10, 20_000, 30_000, 300_000])('%i bytes: fails the connection, and nothing of it is sent', (size) => {
    for (const how of ['eof', 'error', 'deadline'] as const) {
      for (const fault of [{ begin: boom }, { push: boom }]) {
        const harness = open({ role, extensions: [sending(fault)], timeouts: QUIET });
        expect(thrownBy(() => harness.connection.sendBinary(pattern(size))).message).toBe('boom');
        expectFailed(harness, how);
      }
    }
  });
  it('in a later turn: what was done goes out, what waits behind it does not', () => {
    for (const how of ['eof', 'error', 'deadline'] as const) {
      const plain = doubling().outbound(role, () => undefined);
      let throws = false;
      const bad = sending({ push: (...values) => (throws ? boom() : plain.push(...values)) });
      const harness = open({ role, extensions: [bad], timeouts: QUIET });
      const { connection } = harness;
      connection.sendText('first');
      expect(sentMessages(harness.frames())).toHaveLength(1);
      connection.sendBinary(pattern(500_000));
      connection.sendText('behind');
      throws = true;
      expect(() => connection.handleTimeout()).toThrow('boom');
      expectFailed(harness, how);
    }
  });
  it('while it closes: the close frame goes out all the same, and the end is not clean', () => {
    for (const answered of [false, true]) {
      let throws = false;
      const plain = doubling().outbound(role, () => undefined);
      const bad = sending({ push: (...values) => (throws ? boom() : plain.push(...values)) });
      const harness = open({ role, extensions: [bad], timeouts: QUIET });
      const { connection, peer } = harness;
      connection.sendBinary(pattern(500_000));
      if (answered) harness.receive(peer.close(1000, 'theirs'));
      else connection.close(1000, 'ours');
      expect(harness.sent()).toEqual([]);
      throws = true;
      expect(() => connection.handleTimeout()).toThrow('boom');
      expect(harness.sent()).toEqual([answered ? "CLOSE 1000 'theirs'" : "CLOSE 1000 'ours'"]);
      expect(connection.nextTimeout()).toBe(harness.now + 10_000);
      connection.receiveEof();
      expect(harness.end).toMatchObject({ clean: false, cause: FAILED });
    }
  });
  it('while the end of the transport waits behind input that is held: it comes at once', () => {
    const plain = doubling().outbound(role, () => undefined);
    let throws = false;
    const bad = sending({ push: (...values) => (throws ? boom() : plain.push(...values)) });
    const harness = open({ role, extensions: [bad], timeouts: QUIET });
    harness.connection.pause();
    harness.receive(harness.peer.text('unread'));
    harness.connection.receiveEof();
    throws = true;
    expect(() => harness.connection.send('x')).toThrow('boom');
    expect(harness.end.cause).toMatchObject(FAILED);
    expect(harness.of('text')).toEqual([]);
  });
});

describe('server: an extension whose cacheKey throws', () => {
  it('fails the connection, at its first and at its second reading, and nothing is sent or kept', () => {
    for (const begun of [0, 4]) {
      for (const asked of [1, 2]) {
        let times = 0;
        const bad = doubling({ wants: () => begun !== 0 });
        const transform = bad.outbound('server', () => undefined);
        const outbound: OutboundTransform = {
          begin: (...values) => transform.begin(...values),
          push: (...values) => transform.push(...values),
          get cacheKey() {
            return ++times === asked ? boom() : 'key';
          },
        };
        const harness = open({ role: 'server', extensions: [extension('bad', 4, identity, outbound)], timeouts: QUIET });
        const prepared = prepareMessage('prepared');
        expect(thrownBy(() => harness.connection.sendPrepared(prepared)).message).toBe('boom');
        expectFailed(harness, 'eof');
        // Nothing of it is there for others.
        const other = open({ role: 'server', extensions: [doubling({ cacheKey: 'key' })] });
        other.connection.sendPrepared(prepared);
        expect(sentMessages(other.frames())).toMatchObject([{ rsv: 4, payload: doubled(utf8('prepared')) }]);
      }
    }
  });
});

describe.each(roles)('%s: a transform that never answers', (role) => {
  const waiting = (options: Partial<OpenOptions> = {}): Harness => {
    const harness = open({ role, extensions: [doubling({ waits: true })], timeouts: QUIET, ...options });
    harness.connection.sendText('stuck');
    return harness;
  };
  it.each(['close', 'answer'] as const)('does not keep a closing connection for ever: %s', (how) => {
    const harness = waiting();
    const { connection, peer } = harness;
    if (how === 'close') connection.close(1000);
    else harness.receive(peer.close(1000));
    expect(harness.sent()).toEqual([]);
    expect(connection.nextTimeout()).toBe(harness.now + 10_000);
    harness.advance(9_999, true);
    expect(harness.ended).toBe(false);
    harness.advance(1, true);
    expect(connection.transport).toBe('abort');
    expect(harness.end).toMatchObject({ clean: false, cause: { code: 'WS_TIMEOUT_CLOSING' } });
  });
  it.each([
    ['close', 'EOF', 'WS_EOF'],
    ['close', 'reset', 'WS_TRANSPORT'],
    ['answer', 'EOF', 'WS_EOF'],
    ['answer', 'reset', 'WS_TRANSPORT'],
  ] as const)('holds our close frame back and loses the message, so the end is not clean: %s, then %s', (how, ending, cause) => {
    const harness = waiting();
    const { connection, peer } = harness;
    if (how === 'close') connection.close(1000);
    harness.receive(peer.close(1000));
    if (ending === 'EOF') connection.receiveEof();
    else connection.receiveError(new Error('ECONNRESET'));
    // A peer that has only ended its side is told without it.
    expect(harness.sent()).toEqual(ending === 'EOF' ? ['CLOSE 1000'] : []);
    expect(harness.end).toMatchObject({ clean: false, code: 1000, received: { code: 1000 }, cause: { code: cause } });
  });
  it('has the deadline of its last step, and the close frame has its own; to be asked in vain makes no difference', () => {
    const slow = doubling({ waits: true });
    const harness = open({ role, extensions: [slow], timeouts: QUIET });
    const { connection } = harness;
    for (const text of ['a', 'b', 'c']) connection.sendText(text);
    connection.close(1000);
    for (let count = 0; count < 3; count++) {
      harness.advance(9_000);
      const due = connection.nextTimeout();
      slow.ready();
      expect(connection.nextTimeout()).toBe(due);
      expect(harness.ended).toBe(false);
      slow.release();
      slow.ready();
      expect(connection.nextTimeout()).toBe(harness.now + 10_000);
    }
    expect(harness.frames()).toHaveLength(4);
    expect(connection.nextTimeout()).toBe(harness.now + 10_000);
    harness.advance(9_999);
    expect(harness.ended).toBe(false);
    harness.advance(1);
    expect(harness.end.cause?.code).toBe('WS_TIMEOUT_CLOSING');
  });
  it('one that takes all at once and gives a little at a time has it anew with each piece', () => {
    const piece = pattern(1000);
    let left = 0;
    let gives = false;
    let ready = (): void => undefined;
    const slow: OutboundTransform = {
      cacheKey: null,
      begin: () => 4,
      push(_input, start, end, _fin, out) {
        if (end > start) left = 5;
        else if (gives) {
          out.write(piece, 0, piece.length);
          left--;
          gives = false;
        }
        return { consumed: end - start, status: left > 0 ? 'pending' : 'need' };
      },
    };
    const made: Extension = {
      ...extension('slow', 4, identity),
      outbound(_role, wake) {
        ready = wake;
        return slow;
      },
    };
    const harness = open({ role, extensions: [made], timeouts: QUIET });
    const { connection } = harness;
    connection.sendBinary(pattern(3000));
    connection.close(1000);
    for (let count = 0; count < 5; count++) {
      harness.advance(9_000);
      const due = connection.nextTimeout();
      ready();
      expect(connection.nextTimeout()).toBe(due);
      gives = true;
      ready();
      expect(connection.nextTimeout()).toBe(harness.now + 10_000);
    }
    expect(sentMessages(harness.frames()).map(({ payload }) => payload.length)).toEqual([5000]);
    expect(harness.ended).toBe(false);
  });
  it('a large message has it anew with each turn', () => {
    const harness = open({ role, extensions: [doubling()], timeouts: QUIET });
    const { connection } = harness;
    connection.sendBinary(pattern(500_000));
    connection.close(1000);
    let turns = 0;
    for (; harness.frames().length === 0; turns++) {
      harness.now += 60_000;
      connection.handleTimeout();
      expect(harness.ended).toBe(false);
    }
    expect(turns).toBeGreaterThan(1);
    expect(connection.nextTimeout()).toBe(harness.now + 10_000);
  });
});

describe.each(roles)('%s: a callback of the trace that throws', (role) => {
  it('does not send a message twice, nor keep what waits behind it', () => {
    const slow = doubling({ waits: true, wants: (kind) => kind === 'text' });
    let throws = true;
    const harness = open({
      role,
      extensions: [slow],
      timeouts: QUIET,
      onTrace(entry) {
        if (!throws || entry.direction !== 'out') return;
        throws = false;
        boom();
      },
    });
    const { connection } = harness;
    connection.sendText('a');
    connection.sendBinary(pattern(10));
    slow.release();
    expect(() => slow.ready()).toThrow('boom');
    connection.sendBinary(pattern(20));
    expect(connection.nextTimeout()).toBeNull();
    expect(sentMessages(harness.frames()).map(({ payload }) => payload.length)).toEqual([3, 10, 20]);
    expect([connection.bufferedAmount, connection.state]).toEqual([0, 'open']);
  });
});

describe('client: a source of masks that throws', () => {
  it('loses the message that wanted one, and keeps nothing that waits behind it', () => {
    const slow = doubling({ waits: true, wants: (kind) => kind === 'text' });
    let throws = true;
    const random = (): void => {
      if (!throws) return;
      throws = false;
      boom();
    };
    const harness = open({ role: 'client', extensions: [slow], timeouts: QUIET, random });
    const { connection } = harness;
    connection.sendText('a');
    connection.sendBinary(pattern(10));
    slow.release();
    expect(() => slow.ready()).toThrow('boom');
    connection.sendBinary(pattern(20));
    expect(connection.nextTimeout()).toBeLessThanOrEqual(harness.now);
    connection.handleTimeout();
    expect(sentMessages(harness.frames()).map(({ payload }) => payload.length)).toEqual([10, 20]);
    expect([connection.bufferedAmount, connection.state]).toEqual([0, 'open']);
  });
});
