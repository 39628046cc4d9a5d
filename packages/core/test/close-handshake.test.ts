/**
 * The closing handshake (RFC 6455 section 7.1): who says what, which directive the transport gets at each step, and what the end event tells.
 * In a normal close the server ends TCP first (section 7.1.1).
 */
import type { Role } from '@ferrywire/core';
import { describe, expect, it } from 'vitest';
import { concat, type Harness, hex, open, split, utf8 } from './connection-helpers.ts';
import { roles } from './sending-helpers.ts';

/** After both close frames: the server ends TCP, the client waits for it. */
const afterBoth = (role: Role): string => (role === 'server' ? 'end' : 'open');

function levels({ connection }: Harness): { state: string; transport: string; wantsRead: boolean } {
  return { state: connection.state, transport: connection.transport, wantsRead: connection.wantsRead };
}

describe.each(roles)('closed by us, %s', (role) => {
  it('step by step', () => {
    const harness = open({ role });
    const { connection, peer, receive, sent } = harness;
    expect(levels(harness)).toEqual({ state: 'open', transport: 'open', wantsRead: true });
    expect(connection.close(3001, 'bye ✓')).toBe(true);
    expect(connection.closeSent).toEqual({ code: 3001, reason: 'bye ✓' });
    expect(connection.closeReceived).toBe(null);
    expect(levels(harness)).toEqual({ state: 'closing', transport: 'open', wantsRead: true });
    expect(sent()).toEqual(["CLOSE 3001 'bye ✓'"]);
    expect(levels(harness)).toEqual({ state: 'closing', transport: 'open', wantsRead: true });

    receive(peer.close(3002, 'same to you'));
    expect(harness.of('close')).toEqual([{ type: 'close', code: 3002, reason: 'same to you' }]);
    expect(connection.closeReceived).toEqual({ code: 3002, reason: 'same to you' });
    expect(levels(harness)).toEqual({ state: 'closing', transport: afterBoth(role), wantsRead: true });
    expect(sent()).toEqual([]);
    expect(harness.ended).toBe(false);

    connection.receiveEof();
    expect(levels(harness)).toEqual({ state: 'closed', transport: 'done', wantsRead: false });
    expect(harness.end).toEqual({
      clean: true,
      code: 3002,
      reason: 'same to you',
      sent: { code: 3001, reason: 'bye ✓' },
      received: { code: 3002, reason: 'same to you' },
      initiator: 'local',
      cause: null,
    });
    expect(connection.nextTimeout()).toBe(null);
  });

  it('without a code: an empty frame, 1005 for us', () => {
    const { connection, peer, receive, output } = open({ role });
    expect(connection.close()).toBe(true);
    expect(output().length).toBe(role === 'server' ? 2 : 6);
    expect(connection.closeSent).toEqual({ code: 1005, reason: '' });
    receive(peer.close());
    expect(connection.closeReceived).toEqual({ code: 1005, reason: '' });
  });

  it('is idempotent: only the first call queues a frame', () => {
    const { connection, sent } = open({ role });
    expect([connection.close(1000, 'first'), connection.close(1001, 'second'), connection.close()]).toEqual([true, false, false]);
    expect(sent()).toEqual(["CLOSE 1000 'first'"]);
    expect(connection.closeSent).toEqual({ code: 1000, reason: 'first' });
  });

  it('goes out behind what was sent before', () => {
    const { connection, sent } = open({ role });
    connection.sendText('last words');
    connection.sendBinary(new Uint8Array(20_000));
    connection.close(1000);
    const lines = sent();
    expect([lines[0], lines[2]]).toEqual(["TEXT 'last words'", 'CLOSE 1000']);
  });

  it('messages still arrive until the close frame of the peer', () => {
    const { connection, peer, receive, seen, sent, of } = open({ role });
    connection.close(1000);
    receive(
      peer.text('on the way'),
      peer.text('in ', false),
      peer.continuation('two', true),
      peer.ping('p'),
      peer.pong('q'),
      peer.close(1000),
    );
    expect(seen.map(({ type }) => type)).toEqual(['text', 'text', 'ping', 'pong', 'close']);
    expect(of('text').map(({ data }) => data)).toEqual(['on the way', 'in two']);
    // No pong after our close frame.
    expect(sent()).toEqual(['CLOSE 1000']);
  });

  it('a violation of the peer that is closing fails the connection', () => {
    const harness = open({ role });
    const { connection, peer, receive, sent, of } = harness;
    connection.close(1000);
    sent();
    receive(peer.frame({ opcode: 3 }));
    expect(connection.transport).toBe('end');
    expect(sent()).toEqual([]);
    receive(peer.close(1000));
    expect(of('close')).toEqual([]);
    connection.receiveEof();
    expect(of('end')).toMatchObject([
      { clean: false, code: 1006, sent: { code: 1000 }, received: null, initiator: 'local', cause: { code: 'WS_INVALID_OPCODE' } },
    ]);
  });
});

describe.each(roles)('closed by the peer, %s', (role) => {
  it.each([
    [1000, ''],
    [1001, 'going away'],
    [1003, ''],
    [1007, 'x'],
    [1008, ''],
    [1009, ''],
    [1011, ''],
    [1012, ''],
    [1014, ''],
    [3000, ''],
    [4999, 'ü'.repeat(61)],
  ])('%i %j: the answer echoes code and reason', (code, reason) => {
    const harness = open({ role });
    const { connection, peer, receive, sent } = harness;
    receive(peer.close(code, reason));
    expect(sent()).toEqual([reason === '' ? `CLOSE ${code}` : `CLOSE ${code} '${reason}'`]);
    expect(levels(harness)).toEqual({ state: 'closing', transport: afterBoth(role), wantsRead: true });
    expect(harness.of('close')).toEqual([{ type: 'close', code, reason }]);
    expect(connection.closeSent).toEqual({ code, reason });
    expect(connection.close(1000)).toBe(false);
    connection.receiveEof();
    expect(connection.transport).toBe('done');
    expect(harness.end).toEqual({
      clean: true,
      code,
      reason,
      sent: { code, reason },
      received: { code, reason },
      initiator: 'remote',
      cause: null,
    });
  });

  it('with an empty frame: an empty answer, 1005 for the application', () => {
    const harness = open({ role });
    harness.receive(harness.peer.close());
    expect(harness.sent()).toEqual(['CLOSE']);
    expect(harness.of('close')).toEqual([{ type: 'close', code: 1005, reason: '' }]);
    harness.connection.receiveEof();
    const nothing = { code: 1005, reason: '' };
    expect(harness.end).toEqual({ clean: true, ...nothing, sent: nothing, received: nothing, initiator: 'remote', cause: null });
  });

  it('the answer is queued before the event, and false says that it was', () => {
    const observed: unknown[] = [];
    const harness = open({
      role,
      hooks: {
        onClose(code) {
          const { connection } = harness;
          observed.push(code, connection.bufferedAmount > 0, connection.state, connection.closeSent?.code, connection.close(1001));
        },
      },
    });
    harness.receive(harness.peer.close(1000));
    expect(observed).toEqual([1000, true, 'closing', 1000, false]);
    expect(harness.sent()).toEqual(['CLOSE 1000']);
  });

  it('queued data goes out before the answer', () => {
    const { connection, peer, receive, sent } = open({ role });
    connection.sendText('queued');
    receive(peer.ping('p'), peer.close(1000));
    expect(sent()).toEqual(["PONG 'p'", "TEXT 'queued'", 'CLOSE 1000']);
  });

  it('text and close in one write: the message comes first', () => {
    const { peer, receive, seen } = open({ role });
    receive(concat(peer.text('hi'), peer.close(1000)));
    expect(seen.map(({ type }) => type)).toEqual(['text', 'close']);
  });

  it('a message in fragments is cut off, and the close is clean', () => {
    const harness = open({ role });
    const { peer, receive, connection } = harness;
    receive(peer.text('unfinished', false), peer.close(1000));
    expect(harness.seen.map(({ type }) => type)).toEqual(['close']);
    connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, code: 1000 });
  });

  it('whatever follows the close frame is ignored', () => {
    const harness = open({ role });
    const { connection, peer, receive } = harness;
    const trailing = [
      peer.text('late'),
      peer.ping('late'),
      peer.close(1001, 'second'),
      peer.frame({ opcode: 3 }),
      hex('ff ff ff'),
      utf8('GET / HTTP/1.1'),
    ];
    receive(concat(peer.close(1000, 'first'), ...trailing));
    receive(...trailing, ...split(concat(...trailing), 1));
    expect(harness.seen.map(({ type }) => type)).toEqual(['close']);
    expect(harness.sent()).toEqual(["CLOSE 1000 'first'"]);
    expect(connection.wantsRead).toBe(true);
    connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, code: 1000, reason: 'first', cause: null });
  });

  it('EOF right behind the close frame is clean, and the answer is still there to be written', () => {
    const harness = open({ role });
    harness.receive(harness.peer.close(1000));
    harness.connection.receiveEof();
    expect(harness.connection.transport).toBe('done');
    expect(harness.sent()).toEqual(['CLOSE 1000']);
    expect(harness.end).toMatchObject({ clean: true, code: 1000 });
  });

  it('in any split', () => {
    for (const size of [1, 2, 3, 5, 7]) {
      const harness = open({ role });
      harness.receive(...split(concat(harness.peer.text('hi'), harness.peer.close(4000, 'reason'), harness.peer.text('late')), size));
      expect(harness.seen.map(({ type }) => type)).toEqual(['text', 'close']);
      expect(harness.sent()).toEqual(["CLOSE 4000 'reason'"]);
    }
  });
});

describe.each(roles)('both at once, %s', (role) => {
  it('each frame is the answer to the other: no third one', () => {
    const harness = open({ role });
    const { connection, peer, receive, sent } = harness;
    connection.close(1000, 'ours');
    receive(peer.close(1001, 'theirs'));
    expect(sent()).toEqual(["CLOSE 1000 'ours'"]);
    expect(connection.transport).toBe(afterBoth(role));
    connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, code: 1001, reason: 'theirs', initiator: 'local', cause: null });
  });

  it('two endpoints that close at the same moment agree', () => {
    const us = open({ role });
    const them = open({ role: role === 'server' ? 'client' : 'server' });
    us.connection.close(4001, 'a');
    them.connection.close(4002, 'b');
    const [ours, theirs] = [us.output(), them.output()];
    us.receive(theirs);
    them.receive(ours);
    expect([us.output().length, them.output().length]).toEqual([0, 0]);
    expect([us.connection.transport, them.connection.transport].sort()).toEqual(['end', 'open']);
    us.connection.receiveEof();
    them.connection.receiveEof();
    expect(us.end).toMatchObject({ clean: true, code: 4002, initiator: 'local' });
    expect(them.end).toMatchObject({ clean: true, code: 4001, initiator: 'local' });
  });

  it('close() from the sink while the message before the close frame is delivered', () => {
    const harness = open({ role, hooks: { onText: () => void harness.connection.close(1001) } });
    harness.receive(concat(harness.peer.text('hi'), harness.peer.close(1000)));
    expect(harness.sent()).toEqual(['CLOSE 1001']);
    harness.connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, code: 1000, initiator: 'local' });
  });
});

describe.each(roles)('two endpoints in a row of turns, the %s closes', (role) => {
  it('the server ends TCP first, nobody loses a byte', () => {
    const us = open({ role });
    const them = open({ role: role === 'server' ? 'client' : 'server' });
    us.connection.sendText('last');
    us.connection.close(1000);
    them.receive(us.output());
    expect(them.of('text').map(({ data }) => data)).toEqual(['last']);
    us.receive(them.output());
    const server = role === 'server' ? us : them;
    const client = role === 'server' ? them : us;
    expect([server.connection.transport, client.connection.transport]).toEqual(['end', 'open']);
    client.connection.receiveEof();
    expect(client.connection.transport).toBe('done');
    server.connection.receiveEof();
    expect([us.end.clean, them.end.clean, us.end.initiator, them.end.initiator]).toEqual([true, true, 'local', 'remote']);
  });
});

describe.each(roles)('autoClose false, %s', (role) => {
  it('we answer when we are ready; sends work until then', () => {
    const harness = open({ role, autoClose: false });
    const { connection, peer, receive, sent } = harness;
    receive(peer.close(1001, 'theirs'));
    expect(harness.of('close')).toEqual([{ type: 'close', code: 1001, reason: 'theirs' }]);
    expect(sent()).toEqual([]);
    expect(levels(harness)).toEqual({ state: 'closing', transport: 'open', wantsRead: true });
    expect(connection.closeSent).toBe(null);
    expect([connection.sendText('still'), connection.startMessage('binary').end(hex('01')), connection.ping()]).toEqual([true, true, true]);
    expect(connection.close(1000, 'ours')).toBe(true);
    expect(connection.sendText('late')).toBe(false);
    expect(connection.transport).toBe(afterBoth(role));
    expect(sent()).toEqual(["TEXT 'still'", 'BINARY 01', 'PING', "CLOSE 1000 'ours'"]);
    connection.receiveEof();
    expect(harness.end).toEqual({
      clean: true,
      code: 1001,
      reason: 'theirs',
      sent: { code: 1000, reason: 'ours' },
      received: { code: 1001, reason: 'theirs' },
      initiator: 'remote',
      cause: null,
    });
  });

  it('what follows the close frame is ignored there too', () => {
    const harness = open({ role, autoClose: false });
    harness.receive(
      concat(harness.peer.close(1000), harness.peer.text('late'), harness.peer.ping('late')),
      harness.peer.frame({ opcode: 3 }),
    );
    expect(harness.seen.map(({ type }) => type)).toEqual(['close']);
    expect(harness.sent()).toEqual([]);
    expect(harness.connection.transport).toBe('open');
  });

  it('changes nothing when we close first', () => {
    const harness = open({ role, autoClose: false });
    harness.connection.close(1000);
    harness.receive(harness.peer.close(1000));
    expect(harness.connection.transport).toBe(afterBoth(role));
    harness.connection.receiveEof();
    expect(harness.end).toMatchObject({ clean: true, initiator: 'local' });
  });
});

describe.each(roles)('close() checks what it is given, %s', (role) => {
  it.each([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_536, -1, 1000.5, Number.NaN])(
    '%d may not be sent: RangeError',
    (code) => {
      const { connection, sent } = open({ role });
      expect(() => connection.close(code)).toThrow(RangeError);
      expect(() => connection.close(code)).toThrow(/code/);
      expect(connection.state).toBe('open');
      expect(sent()).toEqual([]);
    },
  );

  it('1010 is for clients', () => {
    const { connection, sent } = open({ role });
    if (role === 'client') {
      expect(connection.close(1010, 'x-ext')).toBe(true);
      expect(sent()).toEqual(["CLOSE 1010 'x-ext'"]);
    } else {
      expect(() => connection.close(1010)).toThrow(RangeError);
      expect(connection.state).toBe('open');
    }
  });

  it('the reason is a string of at most 123 bytes, and needs a code', () => {
    const { connection, sent } = open({ role });
    expect(() => connection.close(1000, 'x'.repeat(124))).toThrow(RangeError);
    expect(() => connection.close(1000, '€'.repeat(42))).toThrow(/reason/);
    expect(() => connection.close(undefined, 'no code')).toThrow(/reason/);
    expect(() => connection.close(1000, 5 as never)).toThrow(TypeError);
    expect(connection.state).toBe('open');
    expect(connection.close(1000, '€'.repeat(41))).toBe(true);
    expect(sent()).toEqual([`CLOSE 1000 '${'€'.repeat(41)}'`]);
  });

  it('1010 may be echoed by whoever has received it', () => {
    const { connection, receive, peer, sent } = open({ role, autoClose: false });
    receive(peer.close(1010, 'x-ext'));
    expect(connection.closeReceived).toEqual({ code: 1010, reason: 'x-ext' });
    expect(connection.close(1010, 'x-ext')).toBe(true);
    expect(sent()).toEqual(["CLOSE 1010 'x-ext'"]);
    expect(connection.close(1010)).toBe(false);
  });

  it('a code that is not for the wire is echoed as none, by whoever was told it', () => {
    const empty = open({ role, autoClose: false });
    empty.receive(empty.peer.close());
    expect(() => empty.connection.close(1006)).toThrow(RangeError);
    expect(() => empty.connection.close(1005, 'mine')).toThrow(/reason|code/);
    expect(() => empty.connection.close(1005, 5 as never)).toThrow();
    expect(empty.connection.close(1005, '')).toBe(true);
    expect(empty.sent()).toEqual(['CLOSE']);
    expect(empty.connection.closeSent).toEqual({ code: 1005, reason: '' });

    const lenient = open({ role, autoClose: false, lenient: { reservedCloseCodes: true } });
    lenient.receive(lenient.peer.frame({ opcode: 8, payload: hex('03 ee 78') }));
    expect(lenient.connection.closeReceived).toEqual({ code: 1006, reason: 'x' });
    expect(() => lenient.connection.close(1005)).toThrow(RangeError);
    expect(lenient.connection.close(1006, 'x')).toBe(true);
    expect(lenient.sent()).toEqual(['CLOSE']);
  });

  it('a peer echoes 1010 of a client, and a server that hears it answers', () => {
    const harness = open({ role });
    harness.receive(harness.peer.close(1010));
    expect(harness.sent().length).toBe(1);
    expect(harness.connection.closeReceived?.code).toBe(1010);
  });
});
